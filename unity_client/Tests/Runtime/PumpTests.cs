using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading.Tasks;
using NUnit.Framework;

namespace Townsfolk.Tests
{
    [TestFixture]
    public class PumpTests : Town
    {
        // A million objects of the smallest size would need several collections.
        [Test]
        public void IdlePumpAllocatesNothing()
        {
            Pump.Result(Client, Client.SayAsync("smith", "Hello."));
            Pumps(1000);
            GC.Collect();
            int collections = GC.CollectionCount(0);
            long memory = GC.GetTotalMemory(false);
            Stopwatch watch = Stopwatch.StartNew();
            Pumps(1000000);
            Console.WriteLine("idle pump: {0:0} ns", watch.Elapsed.TotalMilliseconds);
            Assert.That(GC.CollectionCount(0), Is.EqualTo(collections));
            Assert.That(GC.GetTotalMemory(false) - memory, Is.LessThan(1000000));
        }

        [Test]
        public void PumpTakesNoMoreEventsThanAsked()
        {
            Task<SpokenLine> line = Client.SayAsync("smith", "echo: A line of many events, one a letter.");
            int most = 0;
            Pump.Until(Client, () =>
            {
                most = Math.Max(most, Client.Update(1));
                return line.IsCompleted;
            });
            Assert.That(most, Is.EqualTo(1));
        }

        [Test]
        public void HandlerThatPumpsGetsNothingTwice()
        {
            List<string> deltas = new List<string>();
            SpokenLine line = Pump.Result(Client, Client.SayAsync("smith", "echo: once only", text =>
            {
                deltas.Add(text);
                Assert.That(Client.Update(), Is.EqualTo(0));
            }));
            Assert.That(string.Concat(deltas), Is.EqualTo(line.Text));
        }

        [Test]
        public void ConnectionIsTold()
        {
            TownsfolkClient client = Another();
            List<ConnectionState> states = new List<ConnectionState>();
            client.ConnectionChanged += change => states.Add(change.State);
            Pump.Until(client, () => client.Connection.State == ConnectionState.Ready);
            Assert.That(states, Has.Member(ConnectionState.Ready));
        }

        [Test]
        public void DaemonThatIsNotThereIsUnavailableInTime()
        {
            using (TownsfolkClient client = TownsfolkClient.Connect(
                new ConnectOptions { Address = "127.0.0.1:1", CallDeadlineSeconds = 0.5 }))
            {
                TownsfolkException error = Pump.Failure(client, client.ListPersonasAsync());
                Assert.That(
                    error.Status,
                    Is.EqualTo(TownsfolkStatus.Unavailable).Or.EqualTo(TownsfolkStatus.DeadlineExceeded));
            }
        }

        private void Pumps(int count)
        {
            for (int i = 0; i < count; i++)
            {
                Client.Update();
            }
        }
    }
}
