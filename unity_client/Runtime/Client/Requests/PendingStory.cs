using System.Collections.Generic;

namespace Townsfolk
{
    internal sealed class PendingStory : PendingRequest<ComposedStory>
    {
        private readonly ComposeHandler handler;
        private readonly List<StoryPicture> pictures = new List<StoryPicture>();
        private readonly List<TownsfolkException> pictureErrors = new List<TownsfolkException>();
        private StoryConcept concept;

        public PendingStory(ComposeHandler handler)
        {
            this.handler = handler ?? new ComposeHandler();
        }

        protected override void Tell(ref ClientEvent e)
        {
            switch (e.Kind)
            {
                case EventKind.StoryPartStarted:
                    handler.PartStarted?.Invoke(new StoryPartStarted(e));
                    break;
                case EventKind.StoryDelta:
                    handler.Text?.Invoke(new StoryDelta(e));
                    break;
                case EventKind.StoryPartFinished:
                    concept = e.Story.Concept ?? concept;
                    handler.PartFinished?.Invoke(new StoryPartFinished(e));
                    break;
                case EventKind.StoryPartFailed:
                    pictureErrors.Add(e.Error);
                    handler.PictureFailed?.Invoke(e.Story.PictureIndex, e.Error);
                    break;
                case EventKind.PictureProgress:
                    handler.Progress?.Invoke(new PictureProgress(e));
                    break;
                case EventKind.Picture:
                    StoryPicture picture = new StoryPicture(e);
                    pictures.Add(picture);
                    handler.Picture?.Invoke(picture);
                    break;
            }
        }

        protected override ComposedStory Result(ref ClientEvent e)
        {
            return new ComposedStory(e, concept, pictures, pictureErrors);
        }
    }
}
