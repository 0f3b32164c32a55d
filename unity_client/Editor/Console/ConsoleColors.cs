namespace Townsfolk.EditorTools
{
    // How each style of console output looks in Unity's rich text.
    internal static class ConsoleColors
    {
        public static string Paint(string escaped, ConsoleStyle style, bool darkSkin)
        {
            switch (style)
            {
                case ConsoleStyle.Heading:
                    return "<b>" + escaped + "</b>";
                case ConsoleStyle.Speech:
                    return Colored(escaped, darkSkin ? "#8FD7FF" : "#00558A");
                case ConsoleStyle.Detail:
                    return Colored(escaped, darkSkin ? "#909090" : "#6A6A6A");
                case ConsoleStyle.Warning:
                    return Colored(escaped, darkSkin ? "#FFC857" : "#8A5A00");
                case ConsoleStyle.Error:
                    return Colored(escaped, darkSkin ? "#FF7A6B" : "#B00020");
                default:
                    return escaped;
            }
        }

        private static string Colored(string escaped, string color)
        {
            return "<color=" + color + ">" + escaped + "</color>";
        }
    }
}
