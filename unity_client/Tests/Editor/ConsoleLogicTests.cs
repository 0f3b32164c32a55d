using System.Collections.Generic;
using NUnit.Framework;

namespace Townsfolk.EditorTools.Tests
{
    [TestFixture]
    public class ConsoleLogicTests
    {
        [Test]
        public void ArrowsWalkThroughHistoryAndBackToTheUnfinishedLine()
        {
            ConsoleHistory history = new ConsoleHistory();
            history.Add("npc.stats");
            history.Add("npc.help");
            history.Add("npc.help");
            Assert.That(history.Older("npc.s"), Is.EqualTo("npc.help"));
            Assert.That(history.Older("npc.help"), Is.EqualTo("npc.stats"));
            Assert.That(history.Older("npc.stats"), Is.EqualTo("npc.stats"));
            Assert.That(history.Newer("npc.stats"), Is.EqualTo("npc.help"));
            Assert.That(history.Newer("npc.help"), Is.EqualTo("npc.s"));
            Assert.That(history.Newer("npc.s"), Is.EqualTo("npc.s"));
        }

        [Test]
        public void HistoryIsBounded()
        {
            ConsoleHistory history = new ConsoleHistory();
            for (int i = 0; i < 1000; i++)
            {
                history.Add("line " + i);
            }
            Assert.That(history.Lines.Count, Is.EqualTo(200));
            Assert.That(history.Older(""), Is.EqualTo("line 999"));
        }

        [Test]
        public void OneCandidateIsTakenWhole()
        {
            int cursor;
            Completions completions = Completions(4, 8, "stats");
            Assert.That(TabCompletion.Apply("npc.stat now", completions, out cursor), Is.EqualTo("npc.stats now"));
            Assert.That(cursor, Is.EqualTo(9));
        }

        [Test]
        public void SeveralCandidatesAreTakenAsFarAsTheyAgree()
        {
            int cursor;
            Assert.That(
                TabCompletion.Apply("npc.l", Completions(4, 5, "load", "loathe"), out cursor), Is.EqualTo("npc.loa"));
            Assert.That(cursor, Is.EqualTo(7));
            Assert.That(TabCompletion.Apply("x", Completions(0, 1, "xylem", "Xylem"), out cursor), Is.EqualTo("x"));
            Assert.That(TabCompletion.Apply("", Completions(0, 0, "😀", "😁"), out cursor), Is.EqualTo(""));
        }

        [Test]
        public void TranscriptJoinsPiecesIntoLinesAndColoursThem()
        {
            ConsoleTranscript transcript = new ConsoleTranscript();
            transcript.Append("Ay", ConsoleStyle.Plain, true);
            transcript.Append("e.\nsecond <b>", ConsoleStyle.Plain, true);
            List<string> lines = new List<string>(transcript.RichLines);
            Assert.That(lines, Is.EqualTo(new[] { "Aye.", "second <\u200Bb>" }));
            transcript.EndOpenLine();
            transcript.Append("wrong", ConsoleStyle.Error, true);
            lines = new List<string>(transcript.RichLines);
            Assert.That(lines[2], Is.EqualTo("<color=#FF7A6B>wrong</color>"));
        }

        private static Completions Completions(int start, int end, params string[] texts)
        {
            List<Completion> candidates = new List<Completion>();
            foreach (string text in texts)
            {
                candidates.Add(new Completion(text, ""));
            }
            return new Completions(candidates, start, end);
        }
    }
}
