using System.Collections.Generic;

namespace Townsfolk.EditorTools
{
    // What the Tab key does to a line: one candidate is taken whole, several as far as they agree.
    internal static class TabCompletion
    {
        public static string Apply(string line, Completions completions, out int cursor)
        {
            string replacement = CommonBeginning(completions.Candidates);
            string span = line.Substring(completions.ReplaceStart, completions.ReplaceEnd - completions.ReplaceStart);
            if (completions.Candidates.Count != 1 && replacement.Length < span.Length)
            {
                replacement = span; // candidates that differ from what is typed must not shorten it
            }
            cursor = completions.ReplaceStart + replacement.Length;
            return line.Substring(0, completions.ReplaceStart) + replacement + line.Substring(completions.ReplaceEnd);
        }

        private static string CommonBeginning(IReadOnlyList<Completion> candidates)
        {
            if (candidates.Count == 0)
            {
                return "";
            }
            string common = candidates[0].Text;
            for (int i = 1; i < candidates.Count; i++)
            {
                int length = 0;
                string other = candidates[i].Text;
                while (length < common.Length && length < other.Length && common[length] == other[length])
                {
                    length++;
                }
                if (length > 0 && char.IsHighSurrogate(common[length - 1]))
                {
                    length--;
                }
                common = common.Substring(0, length);
            }
            return common;
        }
    }
}
