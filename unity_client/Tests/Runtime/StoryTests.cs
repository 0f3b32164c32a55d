using System;
using System.Collections.Generic;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace Townsfolk.Tests
{
    [TestFixture]
    public class StoryTests : Town
    {
        private const string Told = "Ines lit the lamp of Das alte Licht. \U0001F6A2";
        private const int OnePiece = 256 * 1024;

        [Test]
        public void IdeaBecomesAStoryWithItsConcept()
        {
            Dictionary<StoryPart, string> heard = new Dictionary<StoryPart, string>();
            List<string> writers = new List<string>();
            ComposeHandler handler = new ComposeHandler
            {
                PartStarted = part => writers.Add(part.Part + " " + part.PersonaId),
                Text = d => heard[d.Part] = (heard.ContainsKey(d.Part) ? heard[d.Part] : "") + d.Text
            };
            ComposedStory story = Pump.Result(Client, Client.ComposeAsync(Of("Das alte Licht"), handler));
            Assert.That(story.Text, Is.EqualTo(Told));
            Assert.That(heard[StoryPart.Story], Is.EqualTo(Told));
            Assert.That(heard[StoryPart.PicturePrompt], Is.EqualTo("Das alte Licht"));
            Assert.That(story.Concept.Title, Is.EqualTo("Das alte Licht"));
            Assert.That(story.Concept.Place, Is.EqualTo("a rock"));
            Assert.That(story.StoryId, Is.Not.Empty);
            Assert.That(story.TextSteps, Is.GreaterThan(0));
            Assert.That(story.Pictures, Is.Empty);
            Assert.That(writers, Has.Member("Story story_writer"));
        }

        [Test]
        public void PictureComesAsAWholeAfterItsProgress()
        {
            List<string> steps = new List<string>();
            StoryPicture told = null;
            ComposeHandler handler = new ComposeHandler
            {
                Progress = p => steps.Add(p.Step + "/" + p.TotalSteps),
                Picture = picture => told = picture
            };
            ComposeRequest request = Of("Das alte Licht");
            request.Pictures = new PictureOptions { Width = 64, Height = 96, Seed = ulong.MaxValue >> 1, Style = "ink" };
            ComposedStory story = Pump.Result(Client, Client.ComposeAsync(request, handler));
            Assert.That(story.Pictures.Count, Is.EqualTo(1));
            Assert.That(story.Pictures[0], Is.SameAs(told));
            Assert.That(told.MediaType, Is.EqualTo("image/png"));
            Assert.That(new[] { told.Width, told.Height }, Is.EqualTo(new[] { 64, 96 }));
            Assert.That(told.Seed, Is.EqualTo(ulong.MaxValue >> 1));
            Assert.That(told.Prompt, Is.StringContaining("ink").And.StringContaining("Das alte Licht"));
            Assert.That(told.Bytes.Length, Is.GreaterThan(2 * OnePiece));
            Assert.That(Encoding.ASCII.GetString(told.Bytes, 1, 3), Is.EqualTo("PNG"));
            Assert.That(Encoding.ASCII.GetString(told.Bytes, told.Bytes.Length - 8, 4), Is.EqualTo("IEND"));
            Assert.That(steps, Is.Not.Empty);
            Assert.That(steps, Is.SubsetOf(new[] { "1/4", "2/4", "3/4", "4/4" }));
        }

        [Test]
        public void PictureThatFailsDoesNotLoseTheStory()
        {
            int failed = -1;
            ComposeRequest request = Of("something unpaintable");
            request.Pictures = new PictureOptions();
            ComposeHandler handler = new ComposeHandler { PictureFailed = (index, error) => failed = index };
            ComposedStory story = Pump.Result(Client, Client.ComposeAsync(request, handler));
            Assert.That(failed, Is.EqualTo(0));
            Assert.That(story.Text, Is.StringContaining("Ines"));
            Assert.That(story.Pictures, Is.Empty);
            Assert.That(story.PictureErrors[0].Status, Is.EqualTo(TownsfolkStatus.Unavailable));
            Assert.That(story.PictureErrors[0].Message, Is.EqualTo("the brush is gone"));
        }

        [Test]
        public void ConceptOfAnEarlierStoryIsWrittenAnew()
        {
            ComposedStory first = Pump.Result(Client, Client.ComposeAsync(Of("Das alte Licht")));
            string concept = "";
            ComposeRequest again = new ComposeRequest { Concept = first.Concept, Wish = "darker" };
            ComposeHandler handler = new ComposeHandler { Text = d => concept += d.Part == StoryPart.Concept ? d.Text : "" };
            ComposedStory second = Pump.Result(Client, Client.ComposeAsync(again, handler));
            Assert.That(second.Concept.Title, Is.EqualTo(first.Concept.Title));
            Assert.That(concept, Is.Empty);
        }

        [Test]
        public void CancelledStoryIsGivenUp()
        {
            CancellationTokenSource cancellation = new CancellationTokenSource();
            bool writes = false;
            ComposeHandler handler = new ComposeHandler { Text = d => writes |= d.Part == StoryPart.Story };
            Task<ComposedStory> held = Client.ComposeAsync(Of("hold the page"), handler, cancellation.Token);
            Pump.Until(Client, () => writes);
            cancellation.Cancel();
            Assert.Catch<OperationCanceledException>(() => Pump.End(Client, held));
            Assert.That(held.IsCanceled, Is.True);
            Assert.That(Client.RunningRequests, Is.EqualTo(0));
        }

        [Test]
        public void HandlerThatThrowsEndsTheStory()
        {
            ComposeHandler handler = new ComposeHandler { Text = d => { throw new InvalidOperationException("no ink"); } };
            Task<ComposedStory> story = Client.ComposeAsync(Of("hold the page"), handler);
            Assert.Throws<InvalidOperationException>(() => Pump.End(Client, story));
        }

        [Test]
        public void RequestThatCannotBeRightIsRefused()
        {
            TownsfolkException error = Pump.Failure(Client, Client.ComposeAsync(new ComposeRequest()));
            Assert.That(error.Status, Is.EqualTo(TownsfolkStatus.InvalidArgument));
            ComposeRequest request = Of("Das alte Licht");
            request.NarratorPersonaId = "nobody";
            error = Pump.Failure(Client, Client.ComposeAsync(request));
            Assert.That(error.Status, Is.EqualTo(TownsfolkStatus.NotFound));
            request.Pictures = new PictureOptions { Count = -1 };
            Assert.Throws<ArgumentOutOfRangeException>(() => Client.ComposeAsync(request));
        }

        private static ComposeRequest Of(string idea)
        {
            return new ComposeRequest { Idea = idea };
        }
    }
}
