// What arrives on the other side of P/Invoke, told by the library of fake_client.c.
using System;
using System.Collections.Generic;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;
using Townsfolk.Tests;

namespace Townsfolk.Marshalling
{
    [TestFixture]
    public class MarshallingTests
    {
        private const string NoSampling = "set=0 top_k=0 max=0 seed=0 t=0 top_p=0 min_p=0 rep=0";

        private TownsfolkClient client;

        [SetUp]
        public void Connect()
        {
            client = TownsfolkClient.Connect();
        }

        [TearDown]
        public void Close()
        {
            client.Dispose();
        }

        [Test]
        public void EveryConnectOptionArrives()
        {
            ConnectOptions options = new ConnectOptions
            {
                Address = "unix:/tmp/städtchen",
                Token = "tökén",
                TlsCertificate = "ca.pem",
                Launch = true,
                MaxWaitingEvents = 77,
                LaunchCommand = "\"C:\\Program Files\\townsfolk.exe\"",
                LaunchFolder = "/spiele/街",
                CallDeadlineSeconds = 2.5,
                TurnDeadlineSeconds = 30.25
            };
            Assert.That(
                Connection(options).Reason,
                Is.EqualTo("unix:/tmp/städtchen|tökén|ca.pem|1|77|\"C:\\Program Files\\townsfolk.exe\"|/spiele/街|2.5|30.25"));
        }

        [Test]
        public void OptionsLeftAloneAreNotGiven()
        {
            ConnectionChange change = Connection(null);
            Assert.That(change.Reason, Is.EqualTo("NULL|NULL|NULL|0|0|NULL|NULL|0|0"));
            Assert.That(change.State, Is.EqualTo(ConnectionState.Ready));
            Assert.That(Connection(new ConnectOptions { Address = "" }).Reason, Is.StringStarting("NULL|"));
        }

        [Test]
        public void OptionsThatCannotBeRightAreExplained()
        {
            TownsfolkException error = Assert.Throws<TownsfolkException>(
                () => TownsfolkClient.Connect(new ConnectOptions { Address = "bad" }));
            Assert.That(error.Status, Is.EqualTo(TownsfolkStatus.InvalidArgument));
            Assert.That(error.Message, Is.EqualTo("'bad' is no address; write host:port"));
            Assert.Throws<ArgumentOutOfRangeException>(
                () => TownsfolkClient.Connect(new ConnectOptions { MaxWaitingEvents = -1 }));
        }

        [Test]
        public void EveryFieldOfALineArrives()
        {
            SayRequest request = new SayRequest
            {
                SessionId = "s:1",
                PersonaId = "smith",
                Text = "Größe 😀 鍛冶",
                Situation = "It rains.",
                TurnId = "t.2",
                Priority = LinePriority.Urgent,
                WithCues = true,
                DeadlineSeconds = 1.5,
                Sampling = new Sampling
                {
                    Temperature = 0.25,
                    TopP = 0.5,
                    TopK = 40,
                    MinP = 0.125,
                    RepetitionPenalty = 1.5,
                    Seed = ulong.MaxValue,
                    MaxTokens = 99
                }
            };
            Assert.That(
                Pump.Result(client, client.SayAsync(request)).Text,
                Is.EqualTo("s:1|smith|Größe 😀 鍛冶|It rains.|t.2|3|1|1.5|"
                    + "set=127 top_k=40 max=99 seed=18446744073709551615 t=0.25 top_p=0.5 min_p=0.125 rep=1.5"));
        }

        [Test]
        public void FieldsOfALineLeftAloneAreNotGiven()
        {
            SpokenLine line = Pump.Result(client, client.SayAsync(new SayRequest { Situation = "Night falls." }));
            Assert.That(line.Text, Is.EqualTo("NULL|NULL|NULL|Night falls.|NULL|0|0|0|" + NoSampling));
        }

        [Test]
        public void EachSamplingFieldHasItsOwnBit()
        {
            Assert.That(Set(new Sampling { Temperature = 0 }), Is.EqualTo("set=1"));
            Assert.That(Set(new Sampling { TopP = 0 }), Is.EqualTo("set=2"));
            Assert.That(Set(new Sampling { TopK = 0 }), Is.EqualTo("set=4"));
            Assert.That(Set(new Sampling { MinP = 0 }), Is.EqualTo("set=8"));
            Assert.That(Set(new Sampling { RepetitionPenalty = 0 }), Is.EqualTo("set=16"));
            Assert.That(Set(new Sampling { Seed = 0 }), Is.EqualTo("set=32"));
            Assert.That(Set(new Sampling { MaxTokens = 0 }), Is.EqualTo("set=64"));
        }

        [Test]
        public void EveryEventOfALineIsTold()
        {
            StringBuilder told = new StringBuilder();
            LineHandler handler = new LineHandler
            {
                Started = s => told.Append(s.TurnId + " " + s.AdapterApplied + s.PromptTokens + "/" + s.CachedPromptTokens),
                Speech = d => told.Append("|" + d.Text + d.TokenCount + d.Sequence + "@" + d.SampledUnixNanoseconds),
                Emotion = name => told.Append("|is " + name),
                Action = action => told.Append("|" + action.Name + action.ArgumentsJson),
                Finished = line => told.Append("|end")
            };
            SpokenLine spoken = Pump.Result(client, client.SayAsync(new SayRequest { Text = "x" }, handler));
            Assert.That(
                told.ToString(),
                Is.EqualTo("turn-7 True12/5|Aye, 31@1700000000123456789|日本 😀32@1700000000123456789"
                    + "| e\u030133@1700000000123456789|is glad|sell{\"price\":3}|end"));
            Assert.That(spoken.TurnId, Is.EqualTo("turn-7"));
            Assert.That(spoken.SessionId, Is.EqualTo("session-8"));
            Assert.That(spoken.PersonaId, Is.EqualTo("smith"));
            Assert.That(spoken.FinishReason, Is.EqualTo(FinishReason.Length));
            Assert.That(spoken.IsFallback, Is.True);
            Assert.That(spoken.FallbackReason, Is.EqualTo("busy"));
        }

        [Test]
        public void EveryFigureOfALineIsTold()
        {
            TurnStats stats = Pump.Result(client, client.SayAsync("smith", "x")).Stats;
            Assert.That(
                new double[]
                {
                    stats.PromptTokens, stats.CachedPromptTokens, stats.CompletionTokens, stats.MaxBatchRows,
                    stats.MaxBatchAdapters, stats.SharedSteps, stats.QueueSeconds, stats.TimeToFirstTokenSeconds,
                    stats.TotalSeconds, stats.TokensPerSecond
                },
                Is.EqualTo(new[] { 1, 2, 3, 4, 5, 6, 7.5, 8.5, 9.5, 10.5 }));
        }

        [Test]
        public void ErrorIsTyped()
        {
            TownsfolkException error = Pump.Failure(client, client.SayAsync("smith", "fail"));
            Assert.That(error.Status, Is.EqualTo(TownsfolkStatus.ResourceExhausted));
            Assert.That(error.Message, Is.EqualTo("the queue is full, café"));
            Assert.That(error.Field, Is.EqualTo("sampling.top_p"));
            Assert.That(error.RetryAfter, Is.EqualTo(TimeSpan.FromSeconds(1.5)));
        }

        [Test]
        public void CancelGoesThroughAndTheRestOfTheLineIsTold()
        {
            CancellationTokenSource cancellation = new CancellationTokenSource();
            SpokenLine rest = null;
            Task<SpokenLine> line = client.SayAsync(
                new SayRequest { Text = "hold" }, new LineHandler { Finished = l => rest = l }, cancellation.Token);
            client.Update();
            Assert.That(line.IsCompleted, Is.False);
            cancellation.Cancel();
            Assert.That(line.IsCompleted, Is.False, "tasks end where the game pumps");
            Assert.Catch<OperationCanceledException>(() => Pump.End(client, line));
            Assert.That(rest.Text, Is.EqualTo("Aye, so f"));
        }

        [Test]
        public void PersonasArrive()
        {
            IReadOnlyList<Persona> personas = Pump.Result(client, client.ListPersonasAsync());
            Assert.That(personas.Count, Is.EqualTo(2));
            Assert.That(personas[0].Name, Is.EqualTo("Börrin 鍛冶"));
            Assert.That(personas[0].Summary, Is.EqualTo("Hammers."));
            Assert.That(personas[0].HasAdapter, Is.True);
            Assert.That(personas[0].AdapterRank, Is.EqualTo(16));
            Assert.That(personas[1].Id, Is.EqualTo("monk"));
            Assert.That(personas[1].HasAdapter, Is.False);
        }

        [Test]
        public void SessionsAreOpenedForkedAndClosed()
        {
            SessionRequest request = new SessionRequest
            {
                SessionId = "id",
                PersonaIds = new[] { "smith", "elf" },
                PlayerName = "Ærø"
            };
            Assert.That(Pump.Result(client, client.OpenSessionAsync(request)), Is.EqualTo("id|smith,elf,|Ærø"));
            Assert.That(Pump.Result(client, client.OpenSessionAsync("monk")), Is.EqualTo("NULL|monk,|NULL"));
            Assert.That(Pump.Result(client, client.ForkSessionAsync("a", "b")), Is.EqualTo("a>b"));
            Assert.That(Pump.Result(client, client.ForkSessionAsync("a")), Is.EqualTo("a>NULL"));
            Pump.End(client, client.CloseSessionAsync("a"));
            TownsfolkException error = Pump.Failure(client, client.CloseSessionAsync("gone"));
            Assert.That(error.Status, Is.EqualTo(TownsfolkStatus.NotFound));
            Assert.That(error.RetryAfter, Is.Null);
        }

        [Test]
        public void ArgumentsThatCannotBeRightFailTheTask()
        {
            TownsfolkException error = Pump.Failure(client, client.OpenSessionAsync(new string[0]));
            Assert.That(error.Status, Is.EqualTo(TownsfolkStatus.InvalidArgument));
            Assert.That(error.Message, Is.EqualTo("a session needs 1 to 32 personas"));
            Assert.That(client.RunningRequests, Is.EqualTo(0));
        }

        [Test]
        public void SavedBytesArriveInBothDirections()
        {
            byte[] saved = Pump.Result(client, client.SaveSessionAsync("s"));
            Assert.That(saved, Is.EqualTo(new byte[] { 0, 1, 0, 254, 255 }));
            RestoredSession restored = Pump.Result(client, client.RestoreSessionAsync(saved, "slot"));
            Assert.That(restored.SessionId, Is.EqualTo("slot|5|" + Sum(saved)));
            Assert.That(restored.MissingPersonaIds, Is.EqualTo(new[] { "elf", "smith" }));
            Assert.That(
                Pump.Result(client, client.RestoreSessionAsync(new byte[0])).SessionId, Is.EqualTo("NULL|0|0"));
        }

        [Test]
        public void HeardCharactersArrive()
        {
            Assert.That(Pump.Result(client, client.HeardAsync("turn-7", 12)), Is.EqualTo("turn-7:12"));
            Assert.Throws<ArgumentOutOfRangeException>(() => client.HeardAsync("turn-7", -1));
        }

        [Test]
        public void EveryFieldOfAComparisonArrives()
        {
            CompareRequest request = new CompareRequest
            {
                Text = "Hm?",
                Situation = "dusk",
                SessionId = "s",
                TopTokens = 3,
                Sampling = new Sampling { Seed = 5 },
                Variants = new[]
                {
                    new CompareVariant { Kind = VariantKind.Base },
                    new CompareVariant
                    {
                        PersonaId = "elf",
                        Kind = VariantKind.AdapterOnly,
                        AdapterScale = 0.75,
                        SystemPrompt = "",
                        Sampling = new Sampling { TopK = 4 }
                    },
                    new CompareVariant { PersonaId = "nobody", Kind = VariantKind.Persona }
                }
            };
            List<string> failed = new List<string>();
            List<TokenProbability> tokens = new List<TokenProbability>();
            CompareHandler handler = new CompareHandler
            {
                Failed = (variant, error) => failed.Add(variant + error.Message),
                Tokens = (variant, more) => tokens.AddRange(more)
            };
            IReadOnlyList<VariantOutcome> outcomes = Pump.Result(client, client.CompareAsync(request, handler));
            const string all = "Hm?|dusk|s|3|set=32 top_k=0 max=0 seed=5 t=0 top_p=0 min_p=0 rep=0|";
            Assert.That(outcomes[0].Line.Text, Is.EqualTo(all + "NULL|4|0|0|NULL|" + NoSampling));
            Assert.That(
                outcomes[1].Line.Text,
                Is.EqualTo(all + "elf|3|1|0.75||set=4 top_k=4 max=0 seed=0 t=0 top_p=0 min_p=0 rep=0"));
            Assert.That(outcomes[2].Line, Is.Null);
            Assert.That(outcomes[2].Error.Status, Is.EqualTo(TownsfolkStatus.NotFound));
            Assert.That(failed, Is.EqualTo(new[] { "2there is no persona 'nobody'" }));
            Assert.That(tokens.Count, Is.EqualTo(6));
        }

        [Test]
        public void TokensArriveAsBytesWithTheirProbabilities()
        {
            List<TokenProbability> tokens = new List<TokenProbability>();
            CompareRequest request = new CompareRequest
            {
                Text = "x",
                TopTokens = 2,
                Variants = new[] { new CompareVariant { Kind = VariantKind.Base } }
            };
            CompareHandler handler = new CompareHandler { Tokens = (variant, more) => tokens.AddRange(more) };
            Pump.End(client, client.CompareAsync(request, handler));
            Assert.That(tokens[0].Position, Is.EqualTo(0));
            Assert.That(tokens[0].Sampled.Bytes, Is.EqualTo(new byte[] { 0xF0, 0x9F }));
            Assert.That(tokens[0].Sampled.Id, Is.EqualTo(10));
            Assert.That(tokens[0].Sampled.LogProbability, Is.EqualTo(-0.5));
            Assert.That(tokens[0].Sampled.Probability, Is.EqualTo(Math.Exp(-0.5)));
            Assert.That(Encoding.UTF8.GetString(tokens[0].Candidates[0].Bytes), Is.EqualTo("😀"));
            Assert.That(tokens[0].Candidates[1].LogProbability, Is.EqualTo(-2.5));
            Assert.That(tokens[1].Position, Is.EqualTo(1));
            Assert.That(tokens[1].Candidates, Is.Empty);
        }

        [Test]
        public void EveryFieldOfAStoryArrives()
        {
            ComposeRequest request = new ComposeRequest
            {
                Idea = "ein Licht 😀",
                NarratorPersonaId = "smith",
                CastPersonaIds = new[] { "elf", "monk" },
                Concept = new StoryConcept { Title = "t", Hero = "h", Conflict = "c", Place = "ü" },
                Wish = "darker",
                TargetWords = 120,
                BaseModel = true,
                DeadlineSeconds = 30.5,
                Sampling = new Sampling { Seed = 5 },
                Pictures = new PictureOptions
                {
                    Count = 2,
                    Width = 640,
                    Height = 480,
                    Steps = 20,
                    Seed = ulong.MaxValue,
                    PromptsOnly = true,
                    Style = "ink",
                    NegativePrompt = "text"
                }
            };
            List<string> told = new List<string>();
            ComposeHandler handler = new ComposeHandler
            {
                PartStarted = part => told.Add(part.Part + " " + part.PictureIndex + " " + part.PersonaId),
                Text = delta => told.Add(delta.Part + " " + delta.PictureIndex + " " + delta.Text),
                PartFinished = part => told.Add(
                    part.Part + " " + part.FinishReason + " " + part.Stats.CompletionTokens + " " + part.Text),
                Progress = progress => told.Add(progress.PictureIndex + " " + progress.Step + "/" + progress.TotalSteps),
                PictureFailed = (index, error) => told.Add(index + error.Message + error.Field + error.RetryAfter)
            };
            ComposedStory story = Pump.Result(client, client.ComposeAsync(request, handler));
            Assert.That(told, Is.EqualTo(new[]
            {
                "PicturePrompt 3 picture_prompter",
                "Story 2 日本 😀",
                "Concept Stop 41 2|640|480|20|1|18446744073709551615|1|ink|text",
                "1 3/20",
                "1the brush is gonepicture.width00:00:01.5000000"
            }));
            Assert.That(story.Text, Is.EqualTo(
                "ein Licht 😀|smith|elf,monk,|t/h/c/ü|darker|120|1|30.5|"
                + "set=32 top_k=0 max=0 seed=5 t=0 top_p=0 min_p=0 rep=0"));
            Assert.That(story.StoryId, Is.EqualTo("story-9"));
            Assert.That(story.Concept.Title, Is.EqualTo("Törn"));
            Assert.That(story.Seed, Is.EqualTo(7));
            Assert.That(story.TextSteps, Is.EqualTo(90));
            Assert.That(story.TextsSeconds, Is.EqualTo(4.5));
            Assert.That(story.TotalSeconds, Is.EqualTo(12.5));
            StoryPicture picture = story.Pictures[0];
            Assert.That(picture.PictureIndex, Is.EqualTo(2));
            Assert.That(picture.Bytes, Is.EqualTo(new byte[] { 0x89, (byte)'P', 0, 255 }));
            Assert.That(picture.MediaType, Is.EqualTo("image/png"));
            Assert.That(picture.Prompt, Is.EqualTo("a lighthouse"));
            Assert.That(new[] { picture.Width, picture.Height, picture.Steps }, Is.EqualTo(new[] { 640, 480, 20 }));
            Assert.That(picture.Seed, Is.EqualTo(ulong.MaxValue));
        }

        [Test]
        public void WhatAStoryIsNotGivenIsNotGiven()
        {
            string pictures = "";
            ComposeHandler handler = new ComposeHandler { PartFinished = part => pictures = part.Text };
            ComposedStory story = Pump.Result(client, client.ComposeAsync(new ComposeRequest { Idea = "x" }, handler));
            Assert.That(story.Text, Is.EqualTo("x|NULL||NULL|NULL|0|0|0|" + NoSampling));
            Assert.That(pictures, Is.EqualTo("0|0|0|0|0|0|0|NULL|NULL"));
        }

        [Test]
        public void ConsoleLinesArrive()
        {
            List<ConsoleOutput> printed = new List<ConsoleOutput>();
            Pump.End(client, client.ExecuteAsync("npc.say smith \"Grüß Gott\"", printed.Add, "s", 120));
            Assert.That(printed[0].Text, Is.EqualTo("npc.say smith \"Grüß Gott\"|s|120\n"));
            Assert.That(printed[0].Style, Is.EqualTo(ConsoleStyle.Heading));
        }

        [Test]
        public void CursorAndSpanAreCountedAsCSharpCounts()
        {
            Completions completions = Pump.Result(client, client.CompleteAsync("😀😀x", 4, "s"));
            Assert.That(completions.Candidates[0].Description, Is.EqualTo("😀😀x|2|s"));
            Assert.That(completions.Candidates[1].Text, Is.EqualTo("npc.stats"));
            Assert.That(completions.ReplaceStart, Is.EqualTo(4));
            Assert.That(completions.ReplaceEnd, Is.EqualTo(5));
            Assert.That(
                Pump.Result(client, client.CompleteAsync("npc")).Candidates[0].Description, Is.EqualTo("npc|-1|NULL"));
        }

        [Test]
        public void StatisticsAndLostEventsArrive()
        {
            int lost = 0;
            client.EventsLost += count => lost += count;
            Assert.That(Pump.Result(client, client.GetStatsAsync()), Is.EqualTo("{\"version\":\"9\"}"));
            Pump.Until(client, () => lost == 17);
        }

        [Test]
        public void SceneIsClosedOrCancelled()
        {
            Scene scene = client.OpenScene();
            Assert.That(
                Pump.Result(client, scene.SayAsync(new SayRequest { Text = "Hm." })).Text, Is.StringStarting("NULL|"));
            Pump.End(client, scene.CloseAsync());
            Scene cancelled = client.OpenScene();
            cancelled.Cancel();
            Assert.That(
                Pump.Failure(client, cancelled.Closed).Status, Is.EqualTo(TownsfolkStatus.Cancelled));
        }

        [Test]
        public void VersionOfTheLibraryIsTold()
        {
            Assert.That(TownsfolkClient.LibraryVersion, Is.EqualTo("9.8.7-fake"));
        }

        private static ConnectionChange Connection(ConnectOptions options)
        {
            using (TownsfolkClient other = TownsfolkClient.Connect(options))
            {
                other.Update();
                return other.Connection;
            }
        }

        private string Set(Sampling sampling)
        {
            string text = Pump.Result(client, client.SayAsync(new SayRequest { Text = "x", Sampling = sampling })).Text;
            return text.Split('|')[8].Split(' ')[0];
        }

        private static uint Sum(byte[] bytes)
        {
            uint sum = 0;
            foreach (byte b in bytes)
            {
                sum = unchecked(sum * 31 + b);
            }
            return sum;
        }
    }
}
