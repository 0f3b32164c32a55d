using System;
using System.Collections.Generic;
using System.Text;
using System.Threading.Tasks;
using NUnit.Framework;

namespace Townsfolk.Tests
{
    [TestFixture]
    public class PreviewAndConsoleTests : Town
    {
        [Test]
        public void VariantsAreSpokenSideBySide()
        {
            StringBuilder[] heard = { new StringBuilder(), new StringBuilder() };
            CompareRequest request = new CompareRequest
            {
                Text = "echo: 鍛冶 speaks",
                Variants = new[]
                {
                    new CompareVariant { Kind = VariantKind.PromptOnly, PersonaId = "smith" },
                    new CompareVariant { Kind = VariantKind.Persona, PersonaId = "smith", AdapterScale = 0.5 }
                }
            };
            CompareHandler handler = new CompareHandler { Speech = (variant, d) => heard[variant].Append(d.Text) };
            IReadOnlyList<VariantOutcome> outcomes = Pump.Result(Client, Client.CompareAsync(request, handler));
            for (int i = 0; i < 2; i++)
            {
                Assert.That(outcomes[i].Error, Is.Null);
                Assert.That(outcomes[i].Line.Text, Is.EqualTo("鍛冶 speaks"));
                Assert.That(heard[i].ToString(), Is.EqualTo("鍛冶 speaks"));
            }
        }

        [Test]
        public void ComparisonWithoutVariantsIsRefused()
        {
            TownsfolkException error = Pump.Failure(Client, Client.CompareAsync(new CompareRequest { Text = "Hello." }));
            Assert.That(error.Status, Is.EqualTo(TownsfolkStatus.InvalidArgument));
        }

        [Test]
        public void ConsoleHelpNamesTheCommands()
        {
            StringBuilder printed = new StringBuilder();
            Pump.End(Client, Client.ExecuteAsync("npc.help", output => printed.Append(output.Text)));
            Assert.That(printed.ToString(), Contains.Substring("npc.say"));
        }

        [Test]
        public void UnknownCommandIsATypedError()
        {
            TownsfolkException error = Pump.Failure(Client, Client.ExecuteAsync("npc.dance"));
            Assert.That(error.Status, Is.EqualTo(TownsfolkStatus.InvalidArgument).Or.EqualTo(TownsfolkStatus.NotFound));
        }

        [Test]
        public void TabCompletesACommand()
        {
            Completions completions = Pump.Result(Client, Client.CompleteAsync("npc.relo"));
            Assert.That(completions.Candidates[0].Text.StartsWith("npc.reload", StringComparison.Ordinal), Is.True);
            Assert.That(completions.ReplaceStart, Is.EqualTo(0));
            Assert.That(completions.ReplaceEnd, Is.EqualTo(8));
        }

        [Test]
        public void StatsNameTheEngine()
        {
            Task<string> stats = Client.GetStatsAsync();
            Assert.That(Pump.Result(Client, stats), Contains.Substring("\"scripted\""));
        }
    }
}
