namespace Townsfolk
{
    // A townsfolk_story as managed values.
    internal sealed class StoryEvent
    {
        public string StoryId;
        public StoryPart Part;
        public int PictureIndex;
        public int Step;
        public int TotalSteps;
        public StoryConcept Concept;
        public string MediaType;
        public string Prompt;
        public int Width;
        public int Height;
        public ulong Seed;
        public int TextSteps;
        public double TotalSeconds;
        public double TextsSeconds;

        public static unsafe StoryEvent Read(NativeStory* native)
        {
            return new StoryEvent
            {
                StoryId = NativeText.Read(native->StoryId),
                Part = (StoryPart)native->Part,
                PictureIndex = (int)native->PictureIndex,
                Step = (int)native->Step,
                TotalSteps = (int)native->TotalSteps,
                Concept = ReadConcept(native->StoryConcept),
                MediaType = NativeText.Read(native->MediaType),
                Prompt = NativeText.Read(native->Prompt),
                Width = (int)native->Width,
                Height = (int)native->Height,
                Seed = native->Seed,
                TextSteps = (int)native->TextSteps,
                TotalSeconds = native->TotalS,
                TextsSeconds = native->TextsS
            };
        }

        // Null where there is none.
        private static StoryConcept ReadConcept(NativeStoryConcept native)
        {
            string title = NativeText.Read(native.Title);
            if (title.Length == 0)
            {
                return null;
            }
            return new StoryConcept
            {
                Title = title,
                Hero = NativeText.Read(native.Hero),
                Conflict = NativeText.Read(native.Conflict),
                Place = NativeText.Read(native.Place)
            };
        }
    }
}
