using System;

namespace Townsfolk
{
    /// <summary>Between C#'s count of a text (UTF-16 units) and the daemon's (code points).</summary>
    public static class CodePoints
    {
        /// <summary>Number of code points in the whole text. A surrogate pair is one. No default.</summary>
        public static int Count(string text)
        {
            return Before(text, text.Length);
        }

        /// <summary>Number of code points that begin before this index of the text. No default.</summary>
        public static int Before(string text, int index)
        {
            if (index < 0 || index > text.Length)
            {
                throw new ArgumentOutOfRangeException("index", "The index lies outside of the text.");
            }
            int count = 0;
            for (int i = 0; i < index; i += Length(text, i))
            {
                count++;
            }
            return count;
        }

        /// <summary>Index at which the code point of this number begins; the text's length if it has no more. No
        /// default.</summary>
        public static int IndexOf(string text, int codePoint)
        {
            int i = 0;
            for (int count = 0; count < codePoint && i < text.Length; count++)
            {
                i += Length(text, i);
            }
            return i;
        }

        internal static int Length(string text, int index)
        {
            return char.IsHighSurrogate(text[index]) && index + 1 < text.Length && char.IsLowSurrogate(text[index + 1])
                ? 2
                : 1;
        }
    }
}
