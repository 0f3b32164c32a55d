using System;
using System.Collections.Generic;

namespace Townsfolk
{
    /// <summary>What of a persona a variant uses.</summary>
    public enum VariantKind
    {
        /// <summary>The same as <see cref="Persona"/>. The default.</summary>
        Default = 0,
        /// <summary>The persona as players meet it: prompt and adapter.</summary>
        Persona = 1,
        /// <summary>Its prompt on the base model, without its adapter.</summary>
        PromptOnly = 2,
        /// <summary>Its adapter without its prompt.</summary>
        AdapterOnly = 3,
        /// <summary>The base model, without any persona.</summary>
        Base = 4
    }

    /// <summary>One way to speak the line of a comparison.</summary>
    public sealed class CompareVariant
    {
        /// <summary>Whose line it is. Default: null, for <see cref="VariantKind.Base"/> only.</summary>
        public string PersonaId { get; set; }

        /// <summary>What of the persona is used. Default: <see cref="VariantKind.Default"/>.</summary>
        public VariantKind Kind { get; set; }

        /// <summary>How strongly the adapter is applied, 0 to 2. Default: null, as trained.</summary>
        public double? AdapterScale { get; set; }

        /// <summary>A system prompt to try in place of the persona's. Default: null, its own.</summary>
        public string SystemPrompt { get; set; }

        /// <summary>Sampling of this variant, over that of the request. Default: null, none.</summary>
        public Sampling Sampling { get; set; }
    }

    /// <summary>One line in many variants, spoken in one batch. Nothing of it is remembered.</summary>
    public sealed class CompareRequest
    {
        /// <summary>What the player says. Default: null; then <see cref="Situation"/> must be given.</summary>
        public string Text { get; set; }

        /// <summary>What is going on around the speakers. Default: null.</summary>
        public string Situation { get; set; }

        /// <summary>A session whose history the line follows; it is not changed. Default: null, no history.</summary>
        public string SessionId { get; set; }

        /// <summary>The variants, 1 to 32. Default: null, which is refused.</summary>
        public IList<CompareVariant> Variants { get; set; }

        /// <summary>Likeliest tokens to report at each place, at most 20. Default: 0, no probabilities.</summary>
        public int TopTokens { get; set; }

        /// <summary>Sampling of every variant. Default: null, the personas' own.</summary>
        public Sampling Sampling { get; set; }
    }

    /// <summary>What to call while variants are spoken; the number is the variant's place in the request. Called on the
    /// thread that calls <see cref="TownsfolkClient.Update"/>. An exception thrown by one of these cancels the comparison,
    /// and its task fails with that exception.</summary>
    public sealed class CompareHandler
    {
        /// <summary>A variant was taken up. Default: null.</summary>
        public Action<int, TurnStarted> Started { get; set; }

        /// <summary>More of a variant. Default: null.</summary>
        public Action<int, SpeechDelta> Speech { get; set; }

        /// <summary>The tokens behind the text just told, or behind the end; only with
        /// <see cref="CompareRequest.TopTokens"/>. Default: null.</summary>
        public Action<int, IReadOnlyList<TokenProbability>> Tokens { get; set; }

        /// <summary>A variant shows an emotion. Default: null.</summary>
        public Action<int, string> Emotion { get; set; }

        /// <summary>A variant would do something. Default: null.</summary>
        public Action<int, PersonaAction> Action { get; set; }

        /// <summary>A variant ended. Default: null.</summary>
        public Action<int, SpokenLine> Finished { get; set; }

        /// <summary>A variant failed; the others go on. Default: null.</summary>
        public Action<int, TownsfolkException> Failed { get; set; }
    }

    /// <summary>How a variant ended: with a line or with an error.</summary>
    public sealed class VariantOutcome
    {
        /// <summary>Its line. Default: null, it failed.</summary>
        public SpokenLine Line { get; internal set; }

        /// <summary>Why it failed. Default: null, it did not.</summary>
        public TownsfolkException Error { get; internal set; }
    }

    /// <summary>How likely a sampled token was.</summary>
    public sealed class TokenProbability
    {
        internal TokenProbability(int position, Token sampled, IReadOnlyList<Token> candidates)
        {
            Position = position;
            Sampled = sampled;
            Candidates = candidates;
        }

        /// <summary>Its place in the line, counted from 0. No default.</summary>
        public int Position { get; }

        /// <summary>The token that was sampled. No default.</summary>
        public Token Sampled { get; }

        /// <summary>The likeliest tokens at this place, likeliest first. Default: empty.</summary>
        public IReadOnlyList<Token> Candidates { get; }
    }

    /// <summary>A token that could stand at a place.</summary>
    public struct Token
    {
        internal Token(int id, byte[] bytes, double logProbability)
        {
            Id = id;
            Bytes = bytes;
            LogProbability = logProbability;
        }

        /// <summary>Its id in the base model's vocabulary. No default.</summary>
        public int Id { get; }

        /// <summary>Its text as UTF-8, which may be a part of a character only. No default.</summary>
        public byte[] Bytes { get; }

        /// <summary>Natural logarithm of its probability, before temperature and cuts. No default.</summary>
        public double LogProbability { get; }

        /// <summary>Its probability, 0 to 1. No default.</summary>
        public double Probability
        {
            get { return Math.Exp(LogProbability); }
        }
    }
}
