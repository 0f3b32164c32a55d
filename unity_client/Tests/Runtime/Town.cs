using System;
using System.Collections.Generic;
using System.Text.RegularExpressions;
using NUnit.Framework;

namespace Townsfolk.Tests
{
    /// <summary>A client of the scripted daemon that `python -m tests.unity.scripted_town` of the repository starts. Its
    /// personas smith, elf and monk say "Aye."; to "echo: …" they say what follows; to "hold …" they say "Aye, s" and then
    /// nothing until they are cancelled.</summary>
    public abstract class Town
    {
        private readonly List<TownsfolkClient> clients = new List<TownsfolkClient>();

        /// <summary>The test's client. No default.</summary>
        protected TownsfolkClient Client { get; private set; }

        /// <summary>Connects.</summary>
        [SetUp]
        public void Connect()
        {
            Client = Another();
        }

        /// <summary>Closes all of the test's clients.</summary>
        [TearDown]
        public void Close()
        {
            clients.ForEach(client => client.Dispose());
        }

        /// <summary>One more client of the same daemon.</summary>
        protected TownsfolkClient Another(string token = null)
        {
            string address = Environment.GetEnvironmentVariable("TOWNSFOLK_TEST_ADDRESS");
            if (string.IsNullOrEmpty(address))
            {
                Assert.Ignore("needs the scripted daemon, and TOWNSFOLK_TEST_ADDRESS to name it");
            }
            TownsfolkClient client = TownsfolkClient.Connect(new ConnectOptions { Address = address, Token = token });
            clients.Add(client);
            return client;
        }

        /// <summary>A line that is on its way and never ends by itself.</summary>
        protected static SayRequest Held(string personaId = "smith")
        {
            return new SayRequest { PersonaId = personaId, Text = "hold the door" };
        }

        /// <summary>A number of the daemon's statistics.</summary>
        protected int Statistic(string name)
        {
            string json = Pump.Result(Client, Client.GetStatsAsync());
            Match match = Regex.Match(json, "\"" + name + "\"\\s*:\\s*\"?(\\d+)");
            Assert.That(match.Success, Is.True, name + " is missing in " + json);
            return int.Parse(match.Groups[1].Value);
        }
    }
}
