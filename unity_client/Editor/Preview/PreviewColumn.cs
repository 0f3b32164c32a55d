using System.Collections.Generic;
using System.Text;

namespace Townsfolk.EditorTools
{
    // One variant of a preview, as far as it has been spoken.
    internal sealed class PreviewColumn
    {
        private readonly StringBuilder text = new StringBuilder();
        private readonly List<TokenProbability> tokens = new List<TokenProbability>();

        public PreviewColumn(string title)
        {
            Title = title;
        }

        public string Title { get; }

        public string Text
        {
            get { return text.ToString(); }
        }

        public IReadOnlyList<TokenProbability> Tokens
        {
            get { return tokens; }
        }

        // Null while it is being spoken, or if it failed.
        public SpokenLine Line { get; private set; }

        public string Error { get; private set; }

        // Whether its adapter shapes it; a persona without one says so.
        public bool AdapterApplied { get; private set; }

        public void Start(TurnStarted started)
        {
            AdapterApplied = started.AdapterApplied;
        }

        public void Append(SpeechDelta delta)
        {
            text.Append(delta.Text);
        }

        public void Append(IEnumerable<TokenProbability> more)
        {
            tokens.AddRange(more);
        }

        public void Finish(SpokenLine line)
        {
            Line = line;
        }

        public void Fail(string reason)
        {
            Error = reason;
        }
    }
}
