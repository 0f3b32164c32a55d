using System.Collections.Generic;
using System.Text;

namespace Townsfolk.EditorTools
{
    // What the console shows: lines of styled pieces, the newest of them.
    internal sealed class ConsoleTranscript
    {
        private const int MaxLines = 2000;

        private readonly List<string> lines = new List<string>();
        private readonly StringBuilder last = new StringBuilder();

        // Whole lines and the one that is still being written, in Unity's rich text.
        public IEnumerable<string> RichLines
        {
            get
            {
                foreach (string line in lines)
                {
                    yield return line;
                }
                if (last.Length > 0)
                {
                    yield return last.ToString();
                }
            }
        }

        public void Append(ConsoleOutput output, bool darkSkin)
        {
            Append(output.Text, output.Style, darkSkin);
        }

        public void Append(string text, ConsoleStyle style, bool darkSkin)
        {
            string[] pieces = text.Replace("\r\n", "\n").Split('\n');
            for (int i = 0; i < pieces.Length; i++)
            {
                if (pieces[i].Length > 0)
                {
                    last.Append(ConsoleColors.Paint(ShadedSpan.Escape(pieces[i]), style, darkSkin));
                }
                if (i < pieces.Length - 1)
                {
                    EndLine();
                }
            }
        }

        // Ends a line that the command has left open.
        public void EndOpenLine()
        {
            if (last.Length > 0)
            {
                EndLine();
            }
        }

        public void Clear()
        {
            lines.Clear();
            last.Clear();
        }

        private void EndLine()
        {
            lines.Add(last.ToString());
            last.Clear();
            if (lines.Count > MaxLines)
            {
                lines.RemoveAt(0);
            }
        }
    }
}
