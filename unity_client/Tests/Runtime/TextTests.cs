using System;
using System.Collections.Generic;
using System.Globalization;
using NUnit.Framework;

namespace Townsfolk.Tests
{
    [TestFixture]
    public class TextTests
    {
        [Test]
        public void CodePointsCountSurrogatePairsOnce()
        {
            Assert.That(CodePoints.Count("a😀b"), Is.EqualTo(3));
            Assert.That(CodePoints.Before("a😀b", 3), Is.EqualTo(2));
            Assert.That(CodePoints.IndexOf("a😀b", 2), Is.EqualTo(3));
            Assert.That(CodePoints.IndexOf("a😀b", 99), Is.EqualTo(4));
            Assert.That(CodePoints.Count("\uD83D lone"), Is.EqualTo(6));
        }

        [Test]
        public void ElementsAreWhatAReaderSees()
        {
            Assert.That(Elements("e\u0301x"), Is.EqualTo(new[] { "e\u0301", "x" }));
            Assert.That(Elements("😀👍🏽"), Is.EqualTo(new[] { "😀", "👍🏽" }));
            Assert.That(Elements("👩\u200D👩\u200D👧!"), Is.EqualTo(new[] { "👩\u200D👩\u200D👧", "!" }));
            Assert.That(Elements("🇯🇵🇩🇪"), Is.EqualTo(new[] { "🇯🇵", "🇩🇪" }));
            Assert.That(Elements("❤\uFE0F\r\n1\uFE0F\u20E3"), Is.EqualTo(new[] { "❤\uFE0F", "\r\n", "1\uFE0F\u20E3" }));
            Assert.That(Elements("\u0915\u093F"), Is.EqualTo(new[] { "\u0915\u093F" }));
        }

        [Test]
        public void ElementsOfPlainAndMarkedTextAreTheFrameworks()
        {
            const string text = "Zwo\u0308lf Boxka\u0308mpfer, Ångström, e\u0301te\u0301, 鍛冶屋, q\u0303\u0323 𝒳𝒴 end";
            List<string> expected = new List<string>();
            TextElementEnumerator reference = StringInfo.GetTextElementEnumerator(text);
            while (reference.MoveNext())
            {
                expected.Add(reference.GetTextElement());
            }
            Assert.That(Elements(text), Is.EqualTo(expected));
        }

        [Test]
        public void TypewriterKeepsItsPace()
        {
            Typewriter typewriter = new Typewriter { CharactersPerSecond = 10 };
            typewriter.Append("Hello there.");
            typewriter.Complete();
            Assert.That(typewriter.Advance(0.05), Is.False);
            Assert.That(typewriter.Advance(0.06), Is.True);
            Assert.That(typewriter.Shown, Is.EqualTo("H"));
            typewriter.Advance(0.4);
            Assert.That(typewriter.Shown, Is.EqualTo("Hello"));
            typewriter.Advance(60);
            Assert.That(typewriter.IsDone, Is.True);
            Assert.That(typewriter.Shown, Is.EqualTo("Hello there."));
        }

        [Test]
        public void TypewriterNeverShowsHalfACharacter()
        {
            const string line = "👩\u200D🚒 e\u0301 🇯🇵 q\u0303\u0323!";
            Typewriter typewriter = new Typewriter { CharactersPerSecond = 10 };
            List<string> whole = new List<string> { "" };
            foreach (string element in Elements(line))
            {
                whole.Add(whole[whole.Count - 1] + element);
            }
            for (int i = 0; i < line.Length; i += CodePoints.Length(line, i))
            {
                typewriter.Append(line.Substring(i, CodePoints.Length(line, i))); // as deltas bring it
                typewriter.Advance(0.1);
                Assert.That(whole, Has.Member(typewriter.Shown));
            }
            typewriter.Complete();
            for (int i = 0; i < line.Length; i++)
            {
                typewriter.Advance(0.1);
                Assert.That(whole, Has.Member(typewriter.Shown));
            }
            Assert.That(typewriter.Shown, Is.EqualTo(line));
        }

        [Test]
        public void TypewriterThatWaitedDoesNotRushAfterwards()
        {
            Typewriter typewriter = new Typewriter { CharactersPerSecond = 10 };
            typewriter.Advance(5);
            typewriter.Append("Hello there.");
            typewriter.Advance(0.1);
            Assert.That(typewriter.Shown.Length, Is.LessThanOrEqualTo(2));
        }

        [Test]
        public void TypewriterCountsWhatWasHeardInCodePoints()
        {
            Typewriter typewriter = new Typewriter { CharactersPerSecond = 0 };
            typewriter.Append("😀 yes, e\u0301");
            typewriter.Complete();
            typewriter.Advance(0);
            Assert.That(typewriter.ShownCodePoints, Is.EqualTo(9));
            typewriter.Clear();
            Assert.That(typewriter.Shown, Is.EqualTo(""));
            Assert.That(typewriter.IsDone, Is.False);
        }

        [Test]
        public void EmptyLineIsDoneWhenItIsComplete()
        {
            Typewriter typewriter = new Typewriter();
            Assert.That(typewriter.IsDone, Is.False);
            typewriter.Complete();
            Assert.That(typewriter.IsDone, Is.True);
        }

        private static List<string> Elements(string text)
        {
            List<string> elements = new List<string>();
            for (int start = 0; start < text.Length;)
            {
                int end = TextElements.End(text, start);
                elements.Add(text.Substring(start, end - start));
                start = end;
            }
            return elements;
        }
    }
}
