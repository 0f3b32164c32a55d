using System;
using System.Threading.Tasks;
using NUnit.Framework;

namespace Townsfolk.Tests
{
    [TestFixture]
    public class SpeakerTests : Town
    {
        [Test]
        public void ConversationOpensItselfOnce()
        {
            int before = Statistic("sessions");
            Conversation conversation = new Conversation(Client, new[] { "smith", "elf" });
            Assert.That(conversation.SessionId, Is.Null);
            Task<SpokenLine> smith = conversation.SayAsync(new SayRequest { PersonaId = "smith", Text = "Hello." });
            Task<SpokenLine> elf = conversation.SayAsync(new SayRequest { PersonaId = "elf", Text = "Hello." });
            Pump.End(Client, Task.WhenAll(smith, elf));
            Assert.That(smith.Result.SessionId, Is.EqualTo(elf.Result.SessionId));
            Assert.That(Statistic("sessions"), Is.EqualTo(before + 1));
            Pump.End(Client, conversation.CloseAsync());
            Assert.That(Statistic("sessions"), Is.EqualTo(before));
        }

        [Test]
        public void ForgottenConversationOpensAnew()
        {
            Conversation conversation = new Conversation(Client, new[] { "monk" });
            Pump.End(Client, conversation.SayAsync(new SayRequest { Text = "Hello." }));
            string first = conversation.SessionId;
            Pump.End(Client, Client.CloseSessionAsync(first));
            SpokenLine line = Pump.Result(Client, conversation.SayAsync(new SayRequest { Text = "Hello again." }));
            Assert.That(line.Text, Is.EqualTo("Aye."));
            Assert.That(line.SessionId, Is.Not.EqualTo(first));
        }

        [Test]
        public void ConversationGoesOnFromItsSave()
        {
            Conversation conversation = new Conversation(Client, new[] { "smith" });
            Pump.End(Client, conversation.SayAsync(new SayRequest { Text = "echo: the first evening" }));
            byte[] saved = Pump.Result(Client, conversation.SaveAsync());
            int before = Statistic("sessions");
            Assert.That(Pump.Result(Client, conversation.RestoreAsync(saved)), Is.Empty);
            Assert.That(Statistic("sessions"), Is.EqualTo(before));
            SpokenLine line = Pump.Result(Client, conversation.SayAsync(new SayRequest { Text = "Hello." }));
            Assert.That(line.SessionId, Is.EqualTo(conversation.SessionId));
        }

        [Test]
        public void SpeakerSaysOneLineAtATime()
        {
            Speaker speaker = new Speaker(Client, null, "smith");
            bool speaks = false;
            Task<SpokenLine> first = speaker.SayAsync(Held(), new LineHandler { Speech = delta => speaks = true });
            Pump.Until(Client, () => speaks);
            Task<SpokenLine> second = speaker.SayAsync(new SayRequest { Text = "echo: the second" });
            Assert.That(Pump.Result(Client, second).Text, Is.EqualTo("the second"));
            Assert.Catch<OperationCanceledException>(() => Pump.End(Client, first));
            Assert.That(speaker.IsSpeaking, Is.False);
        }

        [Test]
        public void InterruptedSpeakerRemembersWhatWasHeard()
        {
            Conversation conversation = new Conversation(Client, new[] { "smith" });
            Speaker speaker = new Speaker(Client, conversation, "smith");
            string heard = "";
            Task<SpokenLine> held = speaker.SayAsync(Held(), new LineHandler { Speech = delta => heard += delta.Text });
            Pump.Until(Client, () => heard == "Aye, s");
            Assert.That(speaker.IsSpeaking, Is.True);
            Assert.That(Pump.Result(Client, speaker.InterruptAsync(3)), Is.EqualTo("Aye"));
            Assert.Catch<OperationCanceledException>(() => Pump.End(Client, held));
            Assert.That(speaker.IsSpeaking, Is.False);
        }

        [Test]
        public void InterruptBeforeTheFirstWordIsNoError()
        {
            Conversation conversation = new Conversation(Client, new[] { "smith" });
            Speaker speaker = new Speaker(Client, conversation, "smith");
            Task<SpokenLine> held = speaker.SayAsync(Held());
            Assert.That(Pump.Result(Client, speaker.InterruptAsync(0)), Is.EqualTo(""));
            Assert.Catch<OperationCanceledException>(() => Pump.End(Client, held));
            Assert.That(Pump.Result(Client, speaker.InterruptAsync(0)), Is.EqualTo(""));
        }
    }
}
