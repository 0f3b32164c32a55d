using System;
using System.Collections.Generic;

namespace Townsfolk
{
    internal enum EventKind
    {
        Connection = 1,
        Error = 2,
        Started = 3,
        SpeechDelta = 4,
        Emotion = 5,
        Action = 6,
        Finished = 7,
        Personas = 8,
        SessionOpened = 9,
        SessionClosed = 10,
        SessionSaved = 11,
        Heard = 12,
        ConsoleOutput = 13,
        ConsoleFinished = 14,
        Completions = 15,
        Compared = 16,
        Stats = 17,
        SceneClosed = 18,
        StoryPartStarted = 19,
        StoryDelta = 20,
        StoryPartFinished = 21,
        StoryPartFailed = 22,
        PictureProgress = 23,
        Picture = 24,
        StoryFinished = 25
    }

    // A townsfolk_event as managed values, taken while the library's own are valid. Only what the kind names is read, so
    // that a delta costs one string.
    internal struct ClientEvent
    {
        public EventKind Kind;
        public bool Last;
        public ulong Request;
        public string TurnId;
        public string SessionId;
        public string PersonaId;
        public string Text;
        public string Json;
        public string FallbackReason;
        public ConnectionState Connection;
        public FinishReason FinishReason;
        public ConsoleStyle ConsoleStyle;
        public int Variant;
        public bool AdapterApplied;
        public uint TokenCount;
        public uint PromptTokens;
        public uint CachedPromptTokens;
        public uint ReplaceStart;
        public uint ReplaceEnd;
        public uint DroppedEvents;
        public ulong Sequence;
        public long SampledUnixNs;
        public byte[] Bytes;
        public IReadOnlyList<Persona> Personas;
        public IReadOnlyList<Completion> Completions;
        public IReadOnlyList<TokenProbability> Tokens;
        public TownsfolkException Error;
        public TurnStats Stats;
        public StoryEvent Story;

        public static unsafe ClientEvent Read(NativeEvent* native)
        {
            ClientEvent e = new ClientEvent();
            e.Kind = (EventKind)native->Kind;
            e.Last = native->Last != 0;
            e.Request = native->Request;
            e.Text = NativeText.Read(native->Text, native->TextBytes);
            e.Variant = native->Variant;
            e.Sequence = native->Sequence;
            switch (e.Kind)
            {
                case EventKind.Connection:
                    e.Connection = (ConnectionState)native->Connection;
                    break;
                case EventKind.Error:
                    e.Error = ReadError(native, e.Text);
                    e.DroppedEvents = native->DroppedEvents;
                    break;
                case EventKind.Started:
                    e.TurnId = NativeText.Read(native->TurnId);
                    e.AdapterApplied = native->AdapterApplied != 0;
                    e.PromptTokens = native->PromptTokens;
                    e.CachedPromptTokens = native->CachedPromptTokens;
                    break;
                case EventKind.SpeechDelta:
                    e.TokenCount = native->TokenCount;
                    e.SampledUnixNs = native->SampledUnixNs;
                    e.Tokens = EventLists.Tokens(native);
                    break;
                case EventKind.Action:
                    e.Json = NativeText.Read(native->Json);
                    break;
                case EventKind.Finished:
                    e.TurnId = NativeText.Read(native->TurnId);
                    e.SessionId = NativeText.Read(native->SessionId);
                    e.PersonaId = NativeText.Read(native->PersonaId);
                    e.FinishReason = (FinishReason)native->FinishReason;
                    e.FallbackReason = NativeText.Read(native->FallbackReason);
                    e.Stats = new TurnStats(native->Stats);
                    e.Tokens = EventLists.Tokens(native);
                    break;
                case EventKind.Personas:
                    e.Personas = EventLists.Personas(native);
                    break;
                case EventKind.SessionOpened:
                    e.SessionId = NativeText.Read(native->SessionId);
                    break;
                case EventKind.SessionSaved:
                    e.Bytes = NativeText.ReadBytes(native->Bytes, native->ByteCount);
                    break;
                case EventKind.ConsoleOutput:
                    e.ConsoleStyle = (ConsoleStyle)native->ConsoleStyle;
                    break;
                case EventKind.Completions:
                    e.Completions = EventLists.Completions(native);
                    e.ReplaceStart = native->ReplaceStart;
                    e.ReplaceEnd = native->ReplaceEnd;
                    break;
                case EventKind.StoryPartStarted:
                    e.PersonaId = NativeText.Read(native->PersonaId);
                    e.Story = StoryEvent.Read((NativeStory*)native->Story);
                    break;
                case EventKind.StoryPartFinished:
                    e.FinishReason = (FinishReason)native->FinishReason;
                    e.Stats = new TurnStats(native->Stats);
                    e.Story = StoryEvent.Read((NativeStory*)native->Story);
                    break;
                case EventKind.StoryPartFailed:
                    e.Error = ReadError(native, e.Text);
                    e.Story = StoryEvent.Read((NativeStory*)native->Story);
                    break;
                case EventKind.Picture:
                    e.Bytes = NativeText.ReadBytes(native->Bytes, native->ByteCount);
                    e.Story = StoryEvent.Read((NativeStory*)native->Story);
                    break;
                case EventKind.StoryDelta:
                case EventKind.PictureProgress:
                case EventKind.StoryFinished:
                    e.Story = StoryEvent.Read((NativeStory*)native->Story);
                    break;
                case EventKind.Stats:
                    e.Json = NativeText.Read(native->Json);
                    break;
            }
            return e;
        }

        private static unsafe TownsfolkException ReadError(NativeEvent* native, string message)
        {
            TimeSpan? retryAfter = null;
            if (native->RetryAfterS > 0)
            {
                retryAfter = TimeSpan.FromSeconds(Math.Min(native->RetryAfterS, 86400));
            }
            return new TownsfolkException(
                (TownsfolkStatus)native->Status, message, NativeText.Read(native->Field), retryAfter);
        }
    }
}
