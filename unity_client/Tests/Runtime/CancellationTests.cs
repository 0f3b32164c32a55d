using System;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace Townsfolk.Tests
{
    [TestFixture]
    public class CancellationTests : Town
    {
        [Test]
        public void CancelReachesTheDaemon()
        {
            int before = Statistic("turns_cancelled");
            CancellationTokenSource cancellation = new CancellationTokenSource();
            SpokenLine ended = null;
            string heard = "";
            LineHandler handler = new LineHandler { Speech = d => heard += d.Text, Finished = line => ended = line };
            Task<SpokenLine> held = Client.SayAsync(Held(), handler, cancellation.Token);
            Pump.Until(Client, () => heard == "Aye, s");
            cancellation.Cancel();
            Assert.Catch<OperationCanceledException>(() => Pump.End(Client, held));
            Assert.That(held.IsCanceled, Is.True);
            Assert.That(ended.FinishReason, Is.EqualTo(FinishReason.Cancelled));
            Assert.That(ended.Text, Is.EqualTo("Aye, s"));
            Pump.Until(Client, () => Statistic("turns_cancelled") == before + 1);
        }

        [Test]
        public void CancelOnAnotherThreadReachesTheDaemonAndIsToldWhereTheGamePumps()
        {
            int before = Statistic("turns_cancelled");
            CancellationTokenSource cancellation = new CancellationTokenSource();
            bool speaks = false;
            int toldOn = 0;
            LineHandler handler = new LineHandler
            {
                Speech = delta => speaks = true,
                Finished = line => toldOn = Thread.CurrentThread.ManagedThreadId
            };
            Task<SpokenLine> held = Client.SayAsync(Held(), handler, cancellation.Token);
            Pump.Until(Client, () => speaks);
            Thread other = new Thread(cancellation.Cancel);
            other.Start();
            other.Join();
            Assert.Catch<OperationCanceledException>(() => Pump.End(Client, held));
            Assert.That(toldOn, Is.EqualTo(Thread.CurrentThread.ManagedThreadId));
            Pump.Until(Client, () => Statistic("turns_cancelled") == before + 1);
        }

        [Test]
        public void CancelOfOneLineLeavesTheOthersAlone()
        {
            CancellationTokenSource cancellation = new CancellationTokenSource();
            Task<SpokenLine> held = Client.SayAsync(Held(), null, cancellation.Token);
            Task<SpokenLine> other = Client.SayAsync("elf", "echo: still here");
            cancellation.Cancel();
            Assert.That(Pump.Result(Client, other).Text, Is.EqualTo("still here"));
            Assert.Catch<OperationCanceledException>(() => Pump.End(Client, held));
        }

        [Test]
        public void TokenThatIsCancelledAlreadyAsksForNothing()
        {
            CancellationToken cancelled = new CancellationToken(true);
            Assert.That(Client.SayAsync("smith", "Hello.", null, cancelled).IsCanceled, Is.True);
            Assert.That(Client.ListPersonasAsync(cancelled).IsCanceled, Is.True);
            Assert.That(Client.GetStatsAsync(cancelled).IsCanceled, Is.True);
            Assert.That(Client.RunningRequests, Is.EqualTo(0));
        }

        [Test]
        public void CancelledSceneEndsItsLines()
        {
            Scene scene = Client.OpenScene();
            bool speaks = false;
            Task<SpokenLine> held = scene.SayAsync(Held(), new LineHandler { Speech = delta => speaks = true });
            Pump.Until(Client, () => speaks);
            scene.Cancel();
            TownsfolkException error = Pump.Failure(Client, scene.Closed);
            Assert.That(error.Status, Is.EqualTo(TownsfolkStatus.Cancelled));
            Assert.That(Pump.Result(Client, held).FinishReason, Is.EqualTo(FinishReason.Cancelled));
        }

        [Test]
        public void CancelAfterTheEndDoesNothing()
        {
            CancellationTokenSource cancellation = new CancellationTokenSource();
            SpokenLine line = Pump.Result(Client, Client.SayAsync("smith", "Hello.", null, cancellation.Token));
            cancellation.Cancel();
            Assert.That(line.Text, Is.EqualTo("Aye."));
            Assert.That(Pump.Result(Client, Client.SayAsync("smith", "Hello.")).Text, Is.EqualTo("Aye."));
        }
    }
}
