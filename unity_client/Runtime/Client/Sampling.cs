using System;

namespace Townsfolk
{
    /// <summary>How a line is sampled. What is left null is the persona's own value.</summary>
    public sealed class Sampling
    {
        /// <summary>0 to 4; 0 takes the likeliest token every time. Default: null, the persona's own, else 0.7.</summary>
        public double? Temperature { get; set; }

        /// <summary>Keep the likeliest tokens that together reach this probability, above 0 up to 1. Default: null, the
        /// persona's own, else 0.95.</summary>
        public double? TopP { get; set; }

        /// <summary>Keep only so many of the likeliest tokens. Default: null, the persona's own, else 0, all.</summary>
        public int? TopK { get; set; }

        /// <summary>Drop tokens less likely than this fraction of the likeliest, 0 to below 1. Default: null, the
        /// persona's own, else 0.</summary>
        public double? MinP { get; set; }

        /// <summary>Above 1 avoids repeats, 0.5 to 4. Default: null, the persona's own, else 1.1.</summary>
        public double? RepetitionPenalty { get; set; }

        /// <summary>The same seed and request give the same line. Default: null, a fresh one for every line.</summary>
        public ulong? Seed { get; set; }

        /// <summary>Longest line in tokens, 1 to 2048. Default: null, the persona's own, else 80.</summary>
        public int? MaxTokens { get; set; }

        internal static NativeSampling ToNative(Sampling sampling)
        {
            NativeSampling native = new NativeSampling();
            if (sampling == null)
            {
                return native;
            }
            native.Set = (sampling.Temperature.HasValue ? TemperatureBit : 0)
                | (sampling.TopP.HasValue ? TopPBit : 0)
                | (sampling.TopK.HasValue ? TopKBit : 0)
                | (sampling.MinP.HasValue ? MinPBit : 0)
                | (sampling.RepetitionPenalty.HasValue ? RepetitionPenaltyBit : 0)
                | (sampling.Seed.HasValue ? SeedBit : 0)
                | (sampling.MaxTokens.HasValue ? MaxTokensBit : 0);
            native.Temperature = sampling.Temperature.GetValueOrDefault();
            native.TopP = sampling.TopP.GetValueOrDefault();
            native.TopK = NotNegative(sampling.TopK, "TopK");
            native.MinP = sampling.MinP.GetValueOrDefault();
            native.RepetitionPenalty = sampling.RepetitionPenalty.GetValueOrDefault();
            native.Seed = sampling.Seed.GetValueOrDefault();
            native.MaxTokens = NotNegative(sampling.MaxTokens, "MaxTokens");
            return native;
        }

        private const uint TemperatureBit = 1 << 0;
        private const uint TopPBit = 1 << 1;
        private const uint TopKBit = 1 << 2;
        private const uint MinPBit = 1 << 3;
        private const uint RepetitionPenaltyBit = 1 << 4;
        private const uint SeedBit = 1 << 5;
        private const uint MaxTokensBit = 1 << 6;

        private static uint NotNegative(int? value, string name)
        {
            if (value.GetValueOrDefault() < 0)
            {
                throw new ArgumentOutOfRangeException(name, "Sampling." + name + " must not be negative.");
            }
            return (uint)value.GetValueOrDefault();
        }
    }
}
