using System;
using System.Collections.Generic;
using System.IO;
using System.Text;
using NUnit.Framework;
using Townsfolk.Tests;

namespace Townsfolk.EditorTools.Tests
{
    [TestFixture]
    public class PreviewLogicTests
    {
        [Test]
        public void CharacterWhoseBytesSpanTokensIsOneSpan()
        {
            byte[] smile = Encoding.UTF8.GetBytes("😀");
            List<ShadedSpan> spans = ShadedSpan.Of(new[]
            {
                Probability("Aye ", 0.9),
                Probability(new[] { smile[0], smile[1] }, 0.5),
                Probability(new[] { smile[2], smile[3] }, 0.8),
                Probability("!", 1)
            });
            Assert.That(spans.ConvertAll(span => span.Text), Is.EqualTo(new[] { "Aye ", "😀", "!" }));
            Assert.That(spans[1].Probability, Is.EqualTo(0.5).Within(1e-9));
            Assert.That(spans[2].Probability, Is.EqualTo(1).Within(1e-9));
        }

        [Test]
        public void DoubtfulTokensAreRedderAndTagsInTheTextStayText()
        {
            Rgb sure = new Rgb(0, 0, 0);
            Rgb doubtful = new Rgb(1, 0, 0);
            List<ShadedSpan> spans = ShadedSpan.Of(new[] { Probability("sure", 1), Probability("<b>", 0.5) });
            Assert.That(
                ShadedSpan.RichText(spans, sure, doubtful),
                Is.EqualTo("<color=#000000>sure</color><color=#800000><\u200Bb></color>"));
        }

        [Test]
        public void ChangedAddedAndRemovedFilesAreNoticed()
        {
            string folder = Path.Combine(Path.GetTempPath(), Guid.NewGuid().ToString("N"));
            Directory.CreateDirectory(folder);
            try
            {
                PersonaFiles files = new PersonaFiles();
                Assert.That(files.HaveChanged(folder), Is.False);
                Assert.That(files.HaveChanged(folder), Is.False);
                string path = Path.Combine(folder, "persona.toml");
                File.WriteAllText(path, "id = 1");
                Assert.That(files.HaveChanged(folder), Is.True);
                File.WriteAllText(path, "id = 22");
                Assert.That(files.HaveChanged(folder), Is.True);
                Assert.That(files.HaveChanged(folder), Is.False);
                File.Delete(path);
                Assert.That(files.HaveChanged(folder), Is.True);
            }
            finally
            {
                Directory.Delete(folder, true);
            }
            Assert.That(new PersonaFiles().HaveChanged("no/such/folder"), Is.False);
        }

        private static TokenProbability Probability(string text, double probability)
        {
            return Probability(Encoding.UTF8.GetBytes(text), probability);
        }

        private static TokenProbability Probability(byte[] bytes, double probability)
        {
            return new TokenProbability(0, new Token(1, bytes, Math.Log(probability)), new Token[0]);
        }
    }

    [TestFixture]
    public class PreviewRunTests : Town
    {
        [Test]
        public void PreviewSpeaksInThreeColumns()
        {
            PreviewRun run = new PreviewRun();
            PreviewInput input = new PreviewInput { PersonaId = "smith", Text = "echo: three times", AdapterScale = 1.5 };
            Pump.End(Client, run.RunAsync(Client, input));
            Assert.That(run.Error, Is.Null);
            Assert.That(run.IsRunning, Is.False);
            foreach (PreviewColumn column in run.Columns)
            {
                Assert.That(column.Text, Is.EqualTo("three times"));
                Assert.That(column.Line.Text, Is.EqualTo("three times"));
            }
            Assert.That(run.Columns[1].AdapterApplied, Is.False);
            Assert.That(run.Columns[2].AdapterApplied, Is.True);
        }

        [Test]
        public void StoppedPreviewSaysSo()
        {
            PreviewRun run = new PreviewRun();
            System.Threading.Tasks.Task running =
                run.RunAsync(Client, new PreviewInput { PersonaId = "smith", Text = "hold on" });
            Pump.Until(Client, () => run.Columns[0].Text.Length > 0 || !run.IsRunning);
            run.Cancel();
            Pump.End(Client, running);
            Assert.That(run.Error, Is.EqualTo("stopped"));
        }

        [Test]
        public void ReloadOfAnUnknownPersonaIsExplained()
        {
            Assert.That(Pump.Result(Client, Reloading.ReloadAsync(Client, "nobody")), Contains.Substring("nobody"));
            Assert.That(Pump.Result(Client, Reloading.ReloadAsync(Client, "smith")), Is.Null);
        }
    }
}
