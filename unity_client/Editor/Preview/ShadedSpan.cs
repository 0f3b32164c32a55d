using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace Townsfolk.EditorTools
{
    // A piece of a line with the probability it was sampled with.
    internal struct ShadedSpan
    {
        private ShadedSpan(string text, double probability)
        {
            Text = text;
            Probability = probability;
        }

        public string Text { get; }

        // Of its least likely token.
        public double Probability { get; }

        // Tokens as text. Where a character's bytes span tokens, these tokens make one span.
        public static List<ShadedSpan> Of(IEnumerable<TokenProbability> tokens)
        {
            List<ShadedSpan> spans = new List<ShadedSpan>();
            Decoder decoder = Encoding.UTF8.GetDecoder();
            double least = 1;
            foreach (TokenProbability token in tokens)
            {
                byte[] bytes = token.Sampled.Bytes;
                char[] characters = new char[Encoding.UTF8.GetMaxCharCount(bytes.Length) + 2];
                int count = decoder.GetChars(bytes, 0, bytes.Length, characters, 0, false);
                least = Math.Min(least, token.Sampled.Probability);
                if (count > 0)
                {
                    spans.Add(new ShadedSpan(new string(characters, 0, count), least));
                    least = 1;
                }
            }
            return spans;
        }

        // Unity's rich text: sure tokens in the plain colour, doubtful ones towards the other.
        public static string RichText(IEnumerable<ShadedSpan> spans, Rgb sure, Rgb doubtful)
        {
            StringBuilder rich = new StringBuilder();
            foreach (ShadedSpan span in spans)
            {
                rich.Append("<color=").Append(Rgb.Between(doubtful, sure, span.Probability).Hex).Append('>');
                rich.Append(Escape(span.Text)).Append("</color>");
            }
            return rich.ToString();
        }

        // IMGUI knows no escape; a zero-width space after "<" keeps what follows from being a tag.
        public static string Escape(string text)
        {
            return text.Replace("<", "<\u200B");
        }
    }

    // A colour, each part from 0 to 1.
    internal struct Rgb
    {
        private readonly double red;
        private readonly double green;
        private readonly double blue;

        public Rgb(double red, double green, double blue)
        {
            this.red = red;
            this.green = green;
            this.blue = blue;
        }

        public string Hex
        {
            get
            {
                return string.Format(
                    CultureInfo.InvariantCulture, "#{0:X2}{1:X2}{2:X2}", Byte(red), Byte(green), Byte(blue));
            }
        }

        public static Rgb Between(Rgb from, Rgb to, double share)
        {
            double rest = 1 - share;
            return new Rgb(
                from.red * rest + to.red * share,
                from.green * rest + to.green * share,
                from.blue * rest + to.blue * share);
        }

        private static int Byte(double part)
        {
            return (int)Math.Round(Math.Min(Math.Max(part, 0), 1) * 255);
        }
    }
}
