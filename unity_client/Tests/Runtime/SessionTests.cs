using System.Threading.Tasks;
using NUnit.Framework;

namespace Townsfolk.Tests
{
    [TestFixture]
    public class SessionTests : Town
    {
        [Test]
        public void SessionIsOpenedAndClosed()
        {
            int before = Statistic("sessions");
            string session = Pump.Result(Client, Client.OpenSessionAsync("smith", "elf"));
            Assert.That(Statistic("sessions"), Is.EqualTo(before + 1));
            Pump.End(Client, Client.CloseSessionAsync(session));
            Assert.That(Statistic("sessions"), Is.EqualTo(before));
        }

        [Test]
        public void SessionOfOnePersonaNeedsNoPersonaInItsLines()
        {
            string session = Pump.Result(Client, Client.OpenSessionAsync("monk"));
            SpokenLine line = Pump.Result(
                Client, Client.SayAsync(new SayRequest { SessionId = session, Text = "Hello." }));
            Assert.That(line.PersonaId, Is.EqualTo("monk"));
            Assert.That(line.SessionId, Is.EqualTo(session));
        }

        [Test]
        public void SessionThatIsNotOpenIsNotFound()
        {
            TownsfolkException error = Pump.Failure(Client, Client.CloseSessionAsync("no-such-session"));
            Assert.That(error.Status, Is.EqualTo(TownsfolkStatus.NotFound));
        }

        [Test]
        public void SessionWithoutPersonasIsRefused()
        {
            TownsfolkException error = Pump.Failure(Client, Client.OpenSessionAsync(new SessionRequest()));
            Assert.That(error.Status, Is.EqualTo(TownsfolkStatus.InvalidArgument));
        }

        [Test]
        public void ClosingASessionEndsItsLinesAsCancelled()
        {
            string session = Pump.Result(Client, Client.OpenSessionAsync("smith"));
            bool speaks = false;
            SayRequest request = Held();
            request.SessionId = session;
            Task<SpokenLine> held = Client.SayAsync(request, new LineHandler { Speech = delta => speaks = true });
            Pump.Until(Client, () => speaks);
            Pump.End(Client, Client.CloseSessionAsync(session));
            Assert.That(Pump.Result(Client, held).FinishReason, Is.EqualTo(FinishReason.Cancelled));
        }

        [Test]
        public void SavedSessionIsRestoredUnderAnotherId()
        {
            string session = Pump.Result(Client, Client.OpenSessionAsync("smith"));
            Pump.End(Client, Client.SayAsync(new SayRequest { SessionId = session, Text = "echo: the salt road" }));
            byte[] saved = Pump.Result(Client, Client.SaveSessionAsync(session));
            RestoredSession restored = Pump.Result(Client, Client.RestoreSessionAsync(saved, "loaded-game"));
            Assert.That(restored.SessionId, Is.EqualTo("loaded-game"));
            Assert.That(restored.MissingPersonaIds, Is.Empty);
            Assert.That(Pump.Result(Client, Client.SaveSessionAsync("loaded-game")).Length, Is.GreaterThan(0));
            Pump.End(Client, Client.CloseSessionAsync("loaded-game"));
        }

        [Test]
        public void DamagedSaveIsRefused()
        {
            string session = Pump.Result(Client, Client.OpenSessionAsync("smith"));
            byte[] saved = Pump.Result(Client, Client.SaveSessionAsync(session));
            saved[saved.Length / 2] ^= 0xFF;
            TownsfolkException error = Pump.Failure(Client, Client.RestoreSessionAsync(saved, "damaged"));
            Assert.That(error.Status, Is.EqualTo(TownsfolkStatus.InvalidArgument));
            Pump.End(Client, Client.SayAsync(new SayRequest { SessionId = session, Text = "Still there?" }));
        }

        [Test]
        public void ForkedSessionGoesItsOwnWay()
        {
            string session = Pump.Result(Client, Client.OpenSessionAsync("smith"));
            string fork = Pump.Result(Client, Client.ForkSessionAsync(session, "other-branch"));
            Assert.That(fork, Is.EqualTo("other-branch"));
            Pump.End(Client, Client.CloseSessionAsync(session));
            SpokenLine line = Pump.Result(Client, Client.SayAsync(new SayRequest { SessionId = fork, Text = "Hello." }));
            Assert.That(line.SessionId, Is.EqualTo(fork));
            Pump.End(Client, Client.CloseSessionAsync(fork));
        }

        [Test]
        public void HeardCutsWhatIsRemembered()
        {
            string session = Pump.Result(Client, Client.OpenSessionAsync("smith"));
            SpokenLine line = Pump.Result(
                Client, Client.SayAsync(new SayRequest { SessionId = session, Text = "echo: 😀 smile and run" }));
            Assert.That(Pump.Result(Client, Client.HeardAsync(line.TurnId, 7)), Is.EqualTo("😀 smile"));
        }
    }
}
