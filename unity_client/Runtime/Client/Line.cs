using System;

namespace Townsfolk
{
    /// <summary>How urgent a line is against the others that wait for the engine.</summary>
    public enum LinePriority
    {
        /// <summary>The same as <see cref="Normal"/>. The default.</summary>
        Default = 0,
        /// <summary>Chatter nobody waits for; first to be refused when the queue is full.</summary>
        Background = 1,
        /// <summary>A line that the player asked for.</summary>
        Normal = 2,
        /// <summary>A line that the scene cannot go on without; admitted before all others.</summary>
        Urgent = 3
    }

    /// <summary>Why a line ended.</summary>
    public enum FinishReason
    {
        /// <summary>Not said. The default.</summary>
        Unspecified = 0,
        /// <summary>It came to its own end.</summary>
        Stop = 1,
        /// <summary>It reached its longest length and was cut.</summary>
        Length = 2,
        /// <summary>It was cancelled.</summary>
        Cancelled = 3,
        /// <summary>Its deadline passed.</summary>
        Deadline = 4
    }

    /// <summary>A line to ask for. <see cref="Text"/> or <see cref="Situation"/> must be given.</summary>
    public sealed class SayRequest
    {
        /// <summary>The conversation it belongs to. Default: null, a one-off line that is not remembered.</summary>
        public string SessionId { get; set; }

        /// <summary>Who is to speak. Default: null, the one persona of the session.</summary>
        public string PersonaId { get; set; }

        /// <summary>What the player says, at most 4000 characters. Default: null, the persona speaks first.</summary>
        public string Text { get; set; }

        /// <summary>What is going on around the speakers; told to the persona, spoken by nobody. Default: null.</summary>
        public string Situation { get; set; }

        /// <summary>Your own id for this line. Default: null, one is chosen.</summary>
        public string TurnId { get; set; }

        /// <summary>How urgent it is. Default: <see cref="LinePriority.Default"/>.</summary>
        public LinePriority Priority { get; set; }

        /// <summary>Also tell the emotion that the persona shows with the line, and what it does, if anything; both come
        /// after the line. Default: false.</summary>
        public bool WithCues { get; set; }

        /// <summary>Seconds after which the persona's fallback line is spoken instead. Default: 0, none but
        /// <see cref="ConnectOptions.TurnDeadlineSeconds"/>.</summary>
        public double DeadlineSeconds { get; set; }

        /// <summary>Overrides of the persona's sampling. Default: null, none.</summary>
        public Sampling Sampling { get; set; }
    }

    /// <summary>A line was taken up by the engine.</summary>
    public struct TurnStarted
    {
        internal TurnStarted(ClientEvent e)
        {
            TurnId = e.TurnId;
            AdapterApplied = e.AdapterApplied;
            PromptTokens = (int)e.PromptTokens;
            CachedPromptTokens = (int)e.CachedPromptTokens;
        }

        /// <summary>The line's id. No default.</summary>
        public string TurnId { get; }

        /// <summary>Whether the persona's adapter shapes the line. Default: false.</summary>
        public bool AdapterApplied { get; }

        /// <summary>Length of the prompt in tokens. Default: 0.</summary>
        public int PromptTokens { get; }

        /// <summary>How many of them were known already. Default: 0.</summary>
        public int CachedPromptTokens { get; }
    }

    /// <summary>More of the spoken line.</summary>
    public struct SpeechDelta
    {
        internal SpeechDelta(ClientEvent e)
        {
            Text = e.Text;
            TokenCount = (int)e.TokenCount;
            Sequence = e.Sequence;
            SampledUnixNanoseconds = e.SampledUnixNs;
        }

        /// <summary>Text to append; never splits a surrogate pair. No default.</summary>
        public string Text { get; }

        /// <summary>How many tokens it stands for. Default: 0, text that no model made.</summary>
        public int TokenCount { get; }

        /// <summary>Number of the event within its line. Default: 0.</summary>
        public ulong Sequence { get; }

        /// <summary>When its latest token was sampled, by the daemon's clock. Default: 0, unknown.</summary>
        public long SampledUnixNanoseconds { get; }
    }

    /// <summary>The persona does something in the game, already checked against its allowlist.</summary>
    public struct PersonaAction
    {
        internal PersonaAction(string name, string argumentsJson)
        {
            Name = name;
            ArgumentsJson = argumentsJson;
        }

        /// <summary>The action's name. No default.</summary>
        public string Name { get; }

        /// <summary>Its arguments as a JSON object, fit for UnityEngine.JsonUtility. Default: "{}".</summary>
        public string ArgumentsJson { get; }
    }

    /// <summary>What to call while a line is spoken. Called on the thread that calls
    /// <see cref="TownsfolkClient.Update"/>. An exception thrown by one of these cancels the line, and its task fails with
    /// that exception.</summary>
    public sealed class LineHandler
    {
        /// <summary>The line was taken up. Default: null.</summary>
        public Action<TurnStarted> Started { get; set; }

        /// <summary>More of the line. Default: null.</summary>
        public Action<SpeechDelta> Speech { get; set; }

        /// <summary>The persona shows this emotion from now on. Default: null.</summary>
        public Action<string> Emotion { get; set; }

        /// <summary>The persona does something. Default: null.</summary>
        public Action<PersonaAction> Action { get; set; }

        /// <summary>The line ended, cancelled ones included. Called before the task completes. Default: null.</summary>
        public Action<SpokenLine> Finished { get; set; }
    }

    /// <summary>A line that ended.</summary>
    public sealed class SpokenLine
    {
        internal SpokenLine(ClientEvent e)
        {
            TurnId = e.TurnId;
            SessionId = e.SessionId;
            PersonaId = e.PersonaId;
            Text = e.Text;
            FinishReason = e.FinishReason;
            FallbackReason = e.FallbackReason;
            Stats = e.Stats;
        }

        /// <summary>Its id, for <see cref="TownsfolkClient.HeardAsync"/>. No default.</summary>
        public string TurnId { get; }

        /// <summary>The conversation it belongs to. Default: "", none.</summary>
        public string SessionId { get; }

        /// <summary>Who spoke. No default.</summary>
        public string PersonaId { get; }

        /// <summary>The whole line, without emotions and actions. Default: "", nothing was spoken.</summary>
        public string Text { get; }

        /// <summary>Why it ended. Default: <see cref="Townsfolk.FinishReason.Unspecified"/>.</summary>
        public FinishReason FinishReason { get; }

        /// <summary>"busy", "timeout" or "error" where this is a fallback line. Default: "", the persona's own line.</summary>
        public string FallbackReason { get; }

        /// <summary>Whether this is one of the persona's authored fallback lines. Default: false.</summary>
        public bool IsFallback
        {
            get { return FallbackReason.Length > 0; }
        }

        /// <summary>What it cost. Default: all zero.</summary>
        public TurnStats Stats { get; }
    }

    /// <summary>What one line cost, and how much of it was shared with other characters.</summary>
    public struct TurnStats
    {
        internal TurnStats(NativeTurnStats native)
        {
            PromptTokens = (int)native.PromptTokens;
            CachedPromptTokens = (int)native.CachedPromptTokens;
            CompletionTokens = (int)native.CompletionTokens;
            MaxBatchRows = (int)native.MaxBatchRows;
            MaxBatchAdapters = (int)native.MaxBatchAdapters;
            SharedSteps = (int)native.SharedSteps;
            QueueSeconds = native.QueueS;
            TimeToFirstTokenSeconds = native.TimeToFirstTokenS;
            TotalSeconds = native.TotalS;
            TokensPerSecond = native.TokensPerS;
        }

        /// <summary>Length of the prompt in tokens. Default: 0.</summary>
        public int PromptTokens { get; }

        /// <summary>How many of them were known already. Default: 0.</summary>
        public int CachedPromptTokens { get; }

        /// <summary>Tokens sampled for this line. Default: 0.</summary>
        public int CompletionTokens { get; }

        /// <summary>Most lines in any one step beside this one, itself included. Default: 0.</summary>
        public int MaxBatchRows { get; }

        /// <summary>Most different adapters in any one step beside this one's, its own included. Default: 0.</summary>
        public int MaxBatchAdapters { get; }

        /// <summary>Steps in which it ran beside a line of another adapter. Default: 0.</summary>
        public int SharedSteps { get; }

        /// <summary>Seconds until the engine admitted it. Default: 0.</summary>
        public double QueueSeconds { get; }

        /// <summary>Seconds until its first token was sampled. Default: 0, none was.</summary>
        public double TimeToFirstTokenSeconds { get; }

        /// <summary>Seconds until it ended. Default: 0.</summary>
        public double TotalSeconds { get; }

        /// <summary>Tokens a second from the first to the last. Default: 0, fewer than two tokens.</summary>
        public double TokensPerSecond { get; }
    }
}
