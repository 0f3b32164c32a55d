using System;
using System.Diagnostics;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace Townsfolk.Tests
{
    /// <summary>Calls Update as a game does, once a frame, until something has happened.</summary>
    public static class Pump
    {
        private const double PatienceSeconds = 20;

        /// <summary>What the task brings; throws what it throws. No default.</summary>
        public static T Result<T>(TownsfolkClient client, Task<T> task)
        {
            Until(client, () => task.IsCompleted);
            return task.GetAwaiter().GetResult();
        }

        /// <summary>Waits for the task; throws what it throws.</summary>
        public static void End(TownsfolkClient client, Task task)
        {
            Until(client, () => task.IsCompleted);
            task.GetAwaiter().GetResult();
        }

        /// <summary>The error that the task ends with. No default.</summary>
        public static TownsfolkException Failure(TownsfolkClient client, Task task)
        {
            return Assert.Throws<TownsfolkException>(() => End(client, task));
        }

        /// <summary>Waits until this is so; fails the test if it never is.</summary>
        public static void Until(TownsfolkClient client, Func<bool> done)
        {
            Stopwatch watch = Stopwatch.StartNew();
            while (!done())
            {
                if (client.Update() == 0)
                {
                    Thread.Sleep(1);
                }
                Assert.That(watch.Elapsed.TotalSeconds, Is.LessThan(PatienceSeconds), "nothing came of it in time");
            }
        }
    }
}
