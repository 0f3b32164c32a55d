using System;
using System.Collections.Generic;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace Townsfolk.Tests
{
    [TestFixture]
    public class LineTests : Town
    {
        [Test]
        public void DeltasTogetherAreTheLine()
        {
            StringBuilder heard = new StringBuilder();
            SpokenLine line = Pump.Result(
                Client, Client.SayAsync("smith", "echo: Rope? Three coppers.", text => heard.Append(text)));
            Assert.That(line.Text, Is.EqualTo("Rope? Three coppers."));
            Assert.That(heard.ToString(), Is.EqualTo(line.Text));
            Assert.That(line.FinishReason, Is.EqualTo(FinishReason.Stop));
            Assert.That(line.PersonaId, Is.EqualTo("smith"));
            Assert.That(line.Stats.CompletionTokens, Is.EqualTo(line.Text.Length));
        }

        [Test]
        public void TextBeyondAsciiArrivesUnharmedInWholeCharacters()
        {
            const string text = "naïve, 鍛冶屋 says 😀 👩‍🚒 é — “ą”";
            List<string> deltas = new List<string>();
            SpokenLine line = Pump.Result(Client, Client.SayAsync("smith", "echo: " + text, deltas.Add));
            Assert.That(line.Text, Is.EqualTo(text));
            Assert.That(string.Concat(deltas), Is.EqualTo(text));
            foreach (string delta in deltas)
            {
                Assert.That(char.IsLowSurrogate(delta[0]), Is.False);
                Assert.That(char.IsHighSurrogate(delta[delta.Length - 1]), Is.False);
            }
        }

        [Test]
        public void StartedTellsOfAdapterAndPrompt()
        {
            TurnStarted smith = new TurnStarted();
            TurnStarted monk = new TurnStarted();
            Pump.End(Client, Client.SayAsync(
                new SayRequest { PersonaId = "smith", Text = "Hello." }, new LineHandler { Started = s => smith = s }));
            Pump.End(Client, Client.SayAsync(
                new SayRequest { PersonaId = "monk", Text = "Hello." }, new LineHandler { Started = s => monk = s }));
            Assert.That(smith.AdapterApplied, Is.True);
            Assert.That(monk.AdapterApplied, Is.False);
            Assert.That(smith.PromptTokens, Is.GreaterThan(0));
            Assert.That(smith.TurnId, Is.Not.Empty);
        }

        [Test]
        public void OwnTurnIdIsKept()
        {
            SpokenLine line = Pump.Result(Client, Client.SayAsync(
                new SayRequest { PersonaId = "smith", Text = "Hello.", TurnId = "my-own.turn:1" }));
            Assert.That(line.TurnId, Is.EqualTo("my-own.turn:1"));
        }

        [Test]
        public void UnknownPersonaIsNotFound()
        {
            TownsfolkException error = Pump.Failure(Client, Client.SayAsync("nobody", "Hello."));
            Assert.That(error.Status, Is.EqualTo(TownsfolkStatus.NotFound));
            Assert.That(error.Message, Contains.Substring("nobody"));
        }

        [Test]
        public void WrongSamplingNamesItsField()
        {
            SayRequest request = new SayRequest
            {
                PersonaId = "smith",
                Text = "Hello.",
                Sampling = new Sampling { TopP = 1.5 }
            };
            TownsfolkException error = Pump.Failure(Client, Client.SayAsync(request));
            Assert.That(error.Status, Is.EqualTo(TownsfolkStatus.InvalidArgument));
            Assert.That(error.Field, Is.EqualTo("sampling.top_p"));
        }

        [Test]
        public void RequestWithoutWordsIsRefusedInOneSentence()
        {
            TownsfolkException error = Pump.Failure(Client, Client.SayAsync(new SayRequest { PersonaId = "smith" }));
            Assert.That(error.Status, Is.EqualTo(TownsfolkStatus.InvalidArgument));
            Assert.That(error.Message, Is.Not.Empty);
        }

        [Test]
        public void TextWithNulIsRefused()
        {
            Assert.Throws<ArgumentException>(() => Client.SayAsync("smith", "a\0b"));
        }

        [Test]
        public void SixteenSpeakAtOnceAndNobodysWordsMix()
        {
            List<Task<SpokenLine>> lines = new List<Task<SpokenLine>>();
            StringBuilder[] heard = new StringBuilder[16];
            for (int i = 0; i < heard.Length; i++)
            {
                StringBuilder own = heard[i] = new StringBuilder();
                string[] personas = { "smith", "elf", "monk" };
                lines.Add(Client.SayAsync(personas[i % 3], "echo: I am number " + i, text => own.Append(text)));
            }
            Pump.End(Client, Task.WhenAll(lines));
            for (int i = 0; i < heard.Length; i++)
            {
                Assert.That(lines[i].Result.Text, Is.EqualTo("I am number " + i));
                Assert.That(heard[i].ToString(), Is.EqualTo("I am number " + i));
            }
        }

        [Test]
        public void SixteenSpeakInOneScene()
        {
            Scene scene = Client.OpenScene();
            List<Task<SpokenLine>> lines = new List<Task<SpokenLine>>();
            for (int i = 0; i < 16; i++)
            {
                lines.Add(scene.SayAsync(new SayRequest { PersonaId = "elf", Text = "echo: leaf " + i }));
            }
            Pump.End(Client, Task.WhenAll(lines));
            Assert.That(lines[15].Result.Text, Is.EqualTo("leaf 15"));
            Pump.End(Client, scene.CloseAsync());
        }

        [Test]
        public void FailedLineLeavesItsSceneOpen()
        {
            Scene scene = Client.OpenScene();
            TownsfolkException error = Pump.Failure(
                Client, scene.SayAsync(new SayRequest { PersonaId = "nobody", Text = "Hello." }));
            Assert.That(error.Status, Is.EqualTo(TownsfolkStatus.NotFound));
            SpokenLine line = Pump.Result(
                Client, scene.SayAsync(new SayRequest { PersonaId = "elf", Text = "Hello." }));
            Assert.That(line.Text, Is.EqualTo("Aye."));
        }

        [Test]
        public void HandlersAndContinuationsRunWhereTheGamePumps()
        {
            int pumping = Thread.CurrentThread.ManagedThreadId;
            List<int> threads = new List<int>();
            LineHandler handler = new LineHandler
            {
                Started = started => threads.Add(Thread.CurrentThread.ManagedThreadId),
                Speech = delta => threads.Add(Thread.CurrentThread.ManagedThreadId),
                Finished = line => threads.Add(Thread.CurrentThread.ManagedThreadId)
            };
            Pump.End(Client, AfterLine(handler, threads));
            Assert.That(threads.Count, Is.GreaterThan(3));
            Assert.That(threads, Has.All.EqualTo(pumping));
        }

        [Test]
        public void ThrowingHandlerFailsItsOwnLineOnly()
        {
            LineHandler broken = new LineHandler { Speech = delta => { throw new InvalidOperationException("a bug"); } };
            Task<SpokenLine> own = Client.SayAsync(Held(), broken);
            Task<SpokenLine> other = Client.SayAsync("elf", "echo: undisturbed");
            Assert.That(Pump.Result(Client, other).Text, Is.EqualTo("undisturbed"));
            Assert.Throws<InvalidOperationException>(() => Pump.End(Client, own));
            Assert.That(Client.RunningRequests, Is.EqualTo(0));
        }

        [Test]
        public void PersonasAreListed()
        {
            IReadOnlyList<Persona> personas = Pump.Result(Client, Client.ListPersonasAsync());
            List<string> ids = new List<string>();
            foreach (Persona persona in personas)
            {
                ids.Add(persona.Id + " " + persona.Name + " " + persona.HasAdapter);
            }
            Assert.That(ids, Is.EquivalentTo(new[] { "smith Smith True", "elf Elf True", "monk Monk False" }));
        }

        private async Task AfterLine(LineHandler handler, List<int> threads)
        {
            await Client.SayAsync(new SayRequest { PersonaId = "smith", Text = "Hello." }, handler);
            threads.Add(Thread.CurrentThread.ManagedThreadId);
        }
    }
}
