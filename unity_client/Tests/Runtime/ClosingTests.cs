using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading.Tasks;
using NUnit.Framework;

namespace Townsfolk.Tests
{
    [TestFixture]
    public class ClosingTests : Town
    {
        private const int Rounds = 20;

        // A busy machine may stall any one of them, so the bound is held by all but one.
        [Test]
        public void DisposeWithOpenStreamsReturnsWithinTheBound()
        {
            List<double> milliseconds = new List<double>();
            for (int round = 0; round < Rounds; round++)
            {
                TownsfolkClient client = Another();
                List<Task<SpokenLine>> held = Hold(client, 16);
                Stopwatch watch = Stopwatch.StartNew();
                client.Dispose();
                milliseconds.Add(watch.Elapsed.TotalMilliseconds);
                Assert.That(held, Has.All.Property("IsCanceled").True);
            }
            milliseconds.Sort();
            Console.WriteLine("dispose: median {0:0.0} ms, longest {1:0.0} ms",
                milliseconds[Rounds / 2], milliseconds[Rounds - 1]);
            Assert.That(milliseconds[Rounds - 2], Is.LessThan(100));
        }

        [Test]
        public void ClosedClientCancelsItsLinesOnTheDaemon()
        {
            int before = Statistic("turns_cancelled");
            TownsfolkClient client = Another();
            Hold(client, 4);
            client.Dispose();
            Pump.Until(Client, () => Statistic("turns_cancelled") == before + 4);
        }

        [Test]
        public void DisposeTwiceAndUpdateAfterwardsDoNothing()
        {
            Client.Dispose();
            Client.Dispose();
            Assert.That(Client.IsClosed, Is.True);
            Assert.That(Client.Update(), Is.EqualTo(0));
        }

        [Test]
        public void RequestAfterDisposeSaysSo()
        {
            Client.Dispose();
            Assert.Throws<ObjectDisposedException>(() => Client.SayAsync("smith", "Hello."));
        }

        [Test]
        public void HandlerMayDispose()
        {
            Task<SpokenLine> held = Client.SayAsync(Held(), new LineHandler { Speech = delta => Client.Dispose() });
            Assert.Catch<OperationCanceledException>(() => Pump.End(Client, held));
            Assert.That(Client.IsClosed, Is.True);
        }

        [Test]
        public void ForgottenClientIsClosedByItsFinalizer()
        {
            int before = Statistic("turns_cancelled");
            System.Threading.Thread forgetting = new System.Threading.Thread(Forget);
            forgetting.Start();
            forgetting.Join();
            Pump.Until(Client, () =>
            {
                GC.Collect();
                GC.WaitForPendingFinalizers();
                return Statistic("turns_cancelled") == before + 1;
            });
        }

        private static void Forget()
        {
            string address = Environment.GetEnvironmentVariable("TOWNSFOLK_TEST_ADDRESS");
            Hold(TownsfolkClient.Connect(new ConnectOptions { Address = address }), 1);
        }

        // Lines that are on their way: each has spoken.
        private static List<Task<SpokenLine>> Hold(TownsfolkClient client, int count)
        {
            int speaking = 0;
            List<Task<SpokenLine>> held = new List<Task<SpokenLine>>();
            for (int i = 0; i < count; i++)
            {
                bool spoke = false;
                held.Add(client.SayAsync(Held(), new LineHandler
                {
                    Speech = delta =>
                    {
                        speaking += spoke ? 0 : 1;
                        spoke = true;
                    }
                }));
            }
            Pump.Until(client, () => speaking == count);
            return held;
        }
    }
}
