using System.Globalization;

namespace Townsfolk
{
    /// <summary>What a reader sees as one character: a letter with its marks, an emoji with its modifiers, a flag. Follows the
    /// extended grapheme clusters of Unicode Standard Annex 29 in what dialogue needs: surrogate pairs, combining marks,
    /// variation selectors, emoji modifiers and tags, sequences joined by U+200D, flags, and CR LF.</summary>
    public static class TextElements
    {
        private const int Joiner = 0x200D;

        /// <summary>Index after the element that begins at <paramref name="start"/>. No default.</summary>
        public static int End(string text, int start)
        {
            int first = CodePoint(text, start);
            int end = start + CodePoints.Length(text, start);
            if (first == '\r' && end < text.Length && text[end] == '\n')
            {
                return end + 1;
            }
            if (first == '\r' || first == '\n')
            {
                return end;
            }
            if (IsRegionalIndicator(first) && end < text.Length && IsRegionalIndicator(CodePoint(text, end)))
            {
                end += CodePoints.Length(text, end);
            }
            int last = first;
            while (end < text.Length)
            {
                int next = CodePoint(text, end);
                if (!Extends(text, end, next) && !(last == Joiner && IsPictograph(text, end, next)))
                {
                    break;
                }
                last = next;
                end += CodePoints.Length(text, end);
            }
            return end;
        }

        private static int CodePoint(string text, int index)
        {
            return CodePoints.Length(text, index) == 2 ? char.ConvertToUtf32(text, index) : text[index];
        }

        private static bool Extends(string text, int index, int codePoint)
        {
            if (codePoint == Joiner || codePoint == 0x200C || IsEmojiModifier(codePoint) || IsTag(codePoint))
            {
                return true;
            }
            UnicodeCategory category = CharUnicodeInfo.GetUnicodeCategory(text, index);
            return category == UnicodeCategory.NonSpacingMark
                || category == UnicodeCategory.EnclosingMark
                || category == UnicodeCategory.SpacingCombiningMark;
        }

        private static bool IsPictograph(string text, int index, int codePoint)
        {
            return (codePoint >= 0x1F000 && codePoint < 0x20000)
                || CharUnicodeInfo.GetUnicodeCategory(text, index) == UnicodeCategory.OtherSymbol;
        }

        private static bool IsRegionalIndicator(int codePoint)
        {
            return codePoint >= 0x1F1E6 && codePoint <= 0x1F1FF;
        }

        private static bool IsEmojiModifier(int codePoint)
        {
            return codePoint >= 0x1F3FB && codePoint <= 0x1F3FF;
        }

        private static bool IsTag(int codePoint)
        {
            return codePoint >= 0xE0020 && codePoint <= 0xE007F;
        }
    }
}
