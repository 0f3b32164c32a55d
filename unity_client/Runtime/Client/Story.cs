using System;
using System.Collections.Generic;

namespace Townsfolk
{
    /// <summary>A part of a story.</summary>
    public enum StoryPart
    {
        /// <summary>Not said, or one that is newer than this package. The default.</summary>
        Unspecified = 0,
        /// <summary>The idea spelt out.</summary>
        Concept = 1,
        /// <summary>The story itself.</summary>
        Story = 2,
        /// <summary>What a picture is to show.</summary>
        PicturePrompt = 3,
        /// <summary>A picture.</summary>
        Picture = 4
    }

    /// <summary>What a story is about. Each text is one line of at most 120 characters.</summary>
    public sealed class StoryConcept
    {
        /// <summary>What it is called. Default: null.</summary>
        public string Title { get; set; }

        /// <summary>Whom it is about. Default: null.</summary>
        public string Hero { get; set; }

        /// <summary>What goes wrong. Default: null.</summary>
        public string Conflict { get; set; }

        /// <summary>Where it happens. Default: null.</summary>
        public string Place { get; set; }
    }

    /// <summary>How the pictures of a story are to be.</summary>
    public sealed class PictureOptions
    {
        /// <summary>How many, at most 4. Default: 1.</summary>
        public int Count { get; set; } = 1;

        /// <summary>Width in pixels, 64 to 2048, a multiple of 8. Default: 0, the daemon's own.</summary>
        public int Width { get; set; }

        /// <summary>Height in pixels, 64 to 2048, a multiple of 8. Default: 0, the daemon's own.</summary>
        public int Height { get; set; }

        /// <summary>Style, such as "ink and watercolour". Default: null, the daemon's own.</summary>
        public string Style { get; set; }

        /// <summary>What the pictures are not to show. Default: null.</summary>
        public string NegativePrompt { get; set; }

        /// <summary>Denoising steps, at most 100. Default: 0, what suits the picture model.</summary>
        public int Steps { get; set; }

        /// <summary>Seed of the first picture; the next ones have the next numbers. Default: null, a fresh one.</summary>
        public ulong? Seed { get; set; }

        /// <summary>Whether prompts are written and nothing is drawn. Default: false.</summary>
        public bool PromptsOnly { get; set; }
    }

    /// <summary>A story to write. <see cref="Idea"/> or <see cref="Concept"/> must be given.</summary>
    public sealed class ComposeRequest
    {
        /// <summary>What it is to be about, at most 2000 characters. Default: null.</summary>
        public string Idea { get; set; }

        /// <summary>Who tells it. Default: null, the daemon's own story writer.</summary>
        public string NarratorPersonaId { get; set; }

        /// <summary>Who appears in it, at most 8 personas. Default: null, nobody.</summary>
        public IList<string> CastPersonaIds { get; set; }

        /// <summary>The concept of an earlier story, to write it anew. Default: null, made of the idea.</summary>
        public StoryConcept Concept { get; set; }

        /// <summary>What to change, such as "darker", at most 120 characters. Default: null.</summary>
        public string Wish { get; set; }

        /// <summary>Rough length in words, 50 to 1000. Default: 0, what the writer was trained for.</summary>
        public int TargetWords { get; set; }

        /// <summary>The pictures. Default: null, none.</summary>
        public PictureOptions Pictures { get; set; }

        /// <summary>Whether to write without adapters. Default: false.</summary>
        public bool BaseModel { get; set; }

        /// <summary>Seconds that all of it may take, at most 3600. Default: 0, an hour.</summary>
        public double DeadlineSeconds { get; set; }

        /// <summary>Sampling of the texts. Default: null, the personas' own.</summary>
        public Sampling Sampling { get; set; }
    }

    /// <summary>A part of a story began.</summary>
    public struct StoryPartStarted
    {
        internal StoryPartStarted(ClientEvent e)
        {
            Part = e.Story.Part;
            PictureIndex = e.Story.PictureIndex;
            PersonaId = e.PersonaId;
        }

        /// <summary>The part. No default.</summary>
        public StoryPart Part { get; }

        /// <summary>Which picture or picture's prompt, counted from 0. Default: 0.</summary>
        public int PictureIndex { get; }

        /// <summary>Who writes it. Default: "", the base model or nobody.</summary>
        public string PersonaId { get; }
    }

    /// <summary>More text of a part of a story.</summary>
    public struct StoryDelta
    {
        internal StoryDelta(ClientEvent e)
        {
            Part = e.Story.Part;
            PictureIndex = e.Story.PictureIndex;
            Text = e.Text;
        }

        /// <summary>The part. No default.</summary>
        public StoryPart Part { get; }

        /// <summary>Which picture's prompt, counted from 0. Default: 0.</summary>
        public int PictureIndex { get; }

        /// <summary>Text to append; never splits a surrogate pair. No default.</summary>
        public string Text { get; }
    }

    /// <summary>A part of a story is done.</summary>
    public sealed class StoryPartFinished
    {
        internal StoryPartFinished(ClientEvent e)
        {
            Part = e.Story.Part;
            PictureIndex = e.Story.PictureIndex;
            Text = e.Text;
            FinishReason = e.FinishReason;
            Concept = e.Story.Concept;
            Stats = e.Stats;
            TotalSeconds = e.Story.TotalSeconds;
        }

        /// <summary>The part. No default.</summary>
        public StoryPart Part { get; }

        /// <summary>Which picture or picture's prompt, counted from 0. Default: 0.</summary>
        public int PictureIndex { get; }

        /// <summary>Its whole text. Default: "", a picture.</summary>
        public string Text { get; }

        /// <summary>Why its text ended. Default: <see cref="Townsfolk.FinishReason.Unspecified"/>, a picture.</summary>
        public FinishReason FinishReason { get; }

        /// <summary>The concept, where this part is it. Default: null.</summary>
        public StoryConcept Concept { get; }

        /// <summary>What its text cost. Default: all zero.</summary>
        public TurnStats Stats { get; }

        /// <summary>Seconds that it took. Default: 0.</summary>
        public double TotalSeconds { get; }
    }

    /// <summary>How far a picture is.</summary>
    public struct PictureProgress
    {
        internal PictureProgress(ClientEvent e)
        {
            PictureIndex = e.Story.PictureIndex;
            Step = e.Story.Step;
            TotalSteps = e.Story.TotalSteps;
        }

        /// <summary>Which picture, counted from 0. Default: 0.</summary>
        public int PictureIndex { get; }

        /// <summary>Denoising steps done. Default: 0.</summary>
        public int Step { get; }

        /// <summary>Denoising steps in all. Default: 0.</summary>
        public int TotalSteps { get; }
    }

    /// <summary>A picture of a story.</summary>
    public sealed class StoryPicture
    {
        internal StoryPicture(ClientEvent e)
        {
            PictureIndex = e.Story.PictureIndex;
            Bytes = e.Bytes;
            MediaType = e.Story.MediaType;
            Width = e.Story.Width;
            Height = e.Story.Height;
            Seed = e.Story.Seed;
            Prompt = e.Story.Prompt;
            Steps = e.Story.TotalSteps;
        }

        /// <summary>Which picture, counted from 0. Default: 0.</summary>
        public int PictureIndex { get; }

        /// <summary>Its file, at most 16 MiB; fit for UnityEngine.ImageConversion.LoadImage where it is a PNG. No default.
        /// </summary>
        public byte[] Bytes { get; }

        /// <summary>What the bytes are: "image/png" or "image/webp". No default.</summary>
        public string MediaType { get; }

        /// <summary>Width in pixels. No default.</summary>
        public int Width { get; }

        /// <summary>Height in pixels. No default.</summary>
        public int Height { get; }

        /// <summary>Seed that it was drawn with. No default.</summary>
        public ulong Seed { get; }

        /// <summary>What it was drawn from. No default.</summary>
        public string Prompt { get; }

        /// <summary>Denoising steps that it was drawn in. No default.</summary>
        public int Steps { get; }
    }

    /// <summary>What to call while a story is made. Called on the thread that calls <see cref="TownsfolkClient.Update"/>. An
    /// exception thrown by one of these cancels the story, and its task fails with that exception.</summary>
    public sealed class ComposeHandler
    {
        /// <summary>A part began. Default: null.</summary>
        public Action<StoryPartStarted> PartStarted { get; set; }

        /// <summary>More text of a part; story and prompts come at the same time. Default: null.</summary>
        public Action<StoryDelta> Text { get; set; }

        /// <summary>A part is done. Default: null.</summary>
        public Action<StoryPartFinished> PartFinished { get; set; }

        /// <summary>How far a picture is. Default: null.</summary>
        public Action<PictureProgress> Progress { get; set; }

        /// <summary>A picture is here as a whole. Default: null.</summary>
        public Action<StoryPicture> Picture { get; set; }

        /// <summary>The picture of this index failed; the story goes on. Default: null.</summary>
        public Action<int, TownsfolkException> PictureFailed { get; set; }
    }

    /// <summary>A story that is done.</summary>
    public sealed class ComposedStory
    {
        internal ComposedStory(
            ClientEvent e,
            StoryConcept concept,
            IReadOnlyList<StoryPicture> pictures,
            IReadOnlyList<TownsfolkException> pictureErrors)
        {
            StoryId = e.Story.StoryId;
            Text = e.Text;
            Concept = concept;
            Pictures = pictures;
            PictureErrors = pictureErrors;
            Seed = e.Story.Seed;
            TextSteps = e.Story.TextSteps;
            TextsSeconds = e.Story.TextsSeconds;
            TotalSeconds = e.Story.TotalSeconds;
        }

        /// <summary>Its id. No default.</summary>
        public string StoryId { get; }

        /// <summary>The whole story. No default.</summary>
        public string Text { get; }

        /// <summary>What it is about; give it to <see cref="ComposeRequest.Concept"/> to have it written anew. No default.
        /// </summary>
        public StoryConcept Concept { get; }

        /// <summary>The pictures that were drawn, in order. Default: empty.</summary>
        public IReadOnlyList<StoryPicture> Pictures { get; }

        /// <summary>Why the other pictures failed. Default: empty.</summary>
        public IReadOnlyList<TownsfolkException> PictureErrors { get; }

        /// <summary>Seed that the texts began with. No default.</summary>
        public ulong Seed { get; }

        /// <summary>Decode steps of story and prompts together. Default: 0.</summary>
        public int TextSteps { get; }

        /// <summary>Seconds that story and prompts took. Default: 0.</summary>
        public double TextsSeconds { get; }

        /// <summary>Seconds that all of it took. Default: 0.</summary>
        public double TotalSeconds { get; }
    }
}
