using System;
using System.Text;

namespace Townsfolk
{
    /// <summary>Shows a line that is still being spoken, character by character at a reader's pace. Never splits what a
    /// reader sees as one character, also where its parts come in different deltas.</summary>
    public sealed class Typewriter
    {
        private readonly StringBuilder builder = new StringBuilder();
        private string text = "";
        private int shownLength;
        private double due;

        /// <summary>Characters a second; 0 or less shows everything at once. Default: 40.</summary>
        public double CharactersPerSecond { get; set; } = 40;

        /// <summary>The text that is visible. Default: "".</summary>
        public string Shown { get; private set; } = "";

        /// <summary>How much is visible, in code points: what <see cref="TownsfolkClient.HeardAsync"/> takes. Default: 0.
        /// </summary>
        public int ShownCodePoints
        {
            get { return CodePoints.Count(Shown); }
        }

        /// <summary>Whether no more text will come; see <see cref="Complete"/>. Default: false.</summary>
        public bool IsComplete { get; private set; }

        /// <summary>Whether everything that will come is visible. Default: false.</summary>
        public bool IsDone
        {
            get { return IsComplete && shownLength == builder.Length; }
        }

        /// <summary>Begins a new line.</summary>
        public void Clear()
        {
            builder.Clear();
            text = "";
            Shown = "";
            shownLength = 0;
            due = 0;
            IsComplete = false;
        }

        /// <summary>More of the line.</summary>
        public void Append(string delta)
        {
            builder.Append(delta);
        }

        /// <summary>The line has ended: no more text will come.</summary>
        public void Complete()
        {
            IsComplete = true;
        }

        /// <summary>Makes everything visible that has come so far.</summary>
        public void ShowAll()
        {
            Refresh();
            Show(text.Length);
        }

        /// <summary>Lets time pass. Returns whether more became visible.</summary>
        public bool Advance(double seconds)
        {
            Refresh();
            int before = shownLength;
            if (CharactersPerSecond <= 0)
            {
                Show(Ready(text.Length));
                return shownLength != before;
            }
            due += seconds * CharactersPerSecond;
            int end = shownLength;
            while (due >= 1 && end < text.Length)
            {
                int next = TextElements.End(text, end);
                if (Ready(next) != next)
                {
                    break;
                }
                end = next;
                due -= 1;
            }
            due = Math.Min(due, 1); // waiting for the daemon saves up no more than one character
            Show(end);
            return shownLength != before;
        }

        private void Refresh()
        {
            if (text.Length != builder.Length)
            {
                text = builder.ToString();
            }
        }

        private void Show(int end)
        {
            if (end != shownLength)
            {
                shownLength = end;
                Shown = text.Substring(0, end);
            }
        }

        // Marks that belong to the last character may come with the next delta, so it waits for one.
        private int Ready(int end)
        {
            if (IsComplete || end < text.Length)
            {
                return end;
            }
            int start = shownLength;
            for (int next = start; next < text.Length; next = TextElements.End(text, next))
            {
                start = next;
            }
            return start;
        }
    }
}
