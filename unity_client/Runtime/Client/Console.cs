using System.Collections.Generic;

namespace Townsfolk
{
    /// <summary>What a piece of console output is.</summary>
    public enum ConsoleStyle
    {
        /// <summary>The same as <see cref="Plain"/>. The default.</summary>
        Unspecified = 0,
        /// <summary>Ordinary text.</summary>
        Plain = 1,
        /// <summary>A heading.</summary>
        Heading = 2,
        /// <summary>Words of a persona.</summary>
        Speech = 3,
        /// <summary>Detail of lesser interest.</summary>
        Detail = 4,
        /// <summary>Something to look into.</summary>
        Warning = 5,
        /// <summary>What went wrong.</summary>
        Error = 6
    }

    /// <summary>A piece of a console command's output.</summary>
    public struct ConsoleOutput
    {
        internal ConsoleOutput(string text, ConsoleStyle style)
        {
            Text = text;
            Style = style;
        }

        /// <summary>Text to append, line breaks included; it need not be a whole line. No default.</summary>
        public string Text { get; }

        /// <summary>What it is. Default: <see cref="ConsoleStyle.Unspecified"/>.</summary>
        public ConsoleStyle Style { get; }
    }

    /// <summary>A way to go on with a console line.</summary>
    public struct Completion
    {
        internal Completion(string text, string description)
        {
            Text = text;
            Description = description;
        }

        /// <summary>What stands in the replaced span afterwards. No default.</summary>
        public string Text { get; }

        /// <summary>What it is, in a few words. Default: "".</summary>
        public string Description { get; }
    }

    /// <summary>Ways to go on with a console line.</summary>
    public sealed class Completions
    {
        internal Completions(IReadOnlyList<Completion> candidates, int replaceStart, int replaceEnd)
        {
            Candidates = candidates;
            ReplaceStart = replaceStart;
            ReplaceEnd = replaceEnd;
        }

        /// <summary>The candidates, best first. Default: empty.</summary>
        public IReadOnlyList<Completion> Candidates { get; }

        /// <summary>Index into the line (as C# counts) of the span that a candidate replaces. Default: 0.</summary>
        public int ReplaceStart { get; }

        /// <summary>Index after that span. Default: 0.</summary>
        public int ReplaceEnd { get; }
    }
}
