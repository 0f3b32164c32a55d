using System.Collections.Generic;

namespace Townsfolk.EditorTools
{
    // Lines that were entered, for the arrow keys. The line that is being typed comes back after the newest.
    internal sealed class ConsoleHistory
    {
        private const int MaxLines = 200;

        private readonly List<string> lines = new List<string>();
        private int at;
        private string unfinished = "";

        public IReadOnlyList<string> Lines
        {
            get { return lines; }
        }

        public void Add(string line)
        {
            if (lines.Count == 0 || lines[lines.Count - 1] != line)
            {
                lines.Add(line);
            }
            if (lines.Count > MaxLines)
            {
                lines.RemoveAt(0);
            }
            at = lines.Count;
            unfinished = "";
        }

        // The line before; the same one at the oldest.
        public string Older(string current)
        {
            if (at == lines.Count)
            {
                unfinished = current;
            }
            if (at == 0)
            {
                return current;
            }
            at--;
            return lines[at];
        }

        // The line after; what was being typed after the newest.
        public string Newer(string current)
        {
            if (at == lines.Count)
            {
                return current;
            }
            at++;
            return at == lines.Count ? unfinished : lines[at];
        }
    }
}
