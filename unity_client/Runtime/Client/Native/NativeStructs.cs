using System;
using System.Runtime.InteropServices;

// The library fills and reads these; C# assigns few of their fields.
#pragma warning disable 649, 169

namespace Townsfolk
{
    // The structs of townsfolk_client.h, field by field and in its order, with its names in C#'s spelling. Laid out as
    // 64-bit C does it; Townsfolk serves no 32-bit platform.

    [StructLayout(LayoutKind.Sequential)]
    internal struct NativeSampling
    {
        public uint Set;
        public uint TopK;
        public uint MaxTokens;
        public uint Reserved;
        public ulong Seed;
        public double Temperature;
        public double TopP;
        public double MinP;
        public double RepetitionPenalty;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct NativeOptions
    {
        public UIntPtr StructSize;
        public IntPtr Address;
        public IntPtr Token;
        public IntPtr TlsCertificate;
        public int Launch;
        public uint MaxWaitingEvents;
        public IntPtr LaunchCommand;
        public IntPtr LaunchFolder;
        public double CallDeadlineS;
        public double TurnDeadlineS;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct NativeSayOptions
    {
        public UIntPtr StructSize;
        public IntPtr SessionId;
        public IntPtr PersonaId;
        public IntPtr Text;
        public IntPtr Situation;
        public IntPtr TurnId;
        public int Priority;
        public int WithCues;
        public double DeadlineS;
        public NativeSampling Sampling;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct NativeSessionOptions
    {
        public UIntPtr StructSize;
        public IntPtr SessionId;
        public IntPtr PersonaIds;
        public UIntPtr PersonaCount;
        public IntPtr PlayerName;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct NativeVariant
    {
        public UIntPtr StructSize;
        public IntPtr PersonaId;
        public int Kind;
        public int HasAdapterScale;
        public double AdapterScale;
        public IntPtr SystemPrompt;
        public NativeSampling Sampling;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct NativeCompareOptions
    {
        public UIntPtr StructSize;
        public IntPtr Text;
        public IntPtr Situation;
        public IntPtr SessionId;
        public IntPtr Variants;
        public UIntPtr VariantCount;
        public uint TopTokens;
        public uint Reserved;
        public NativeSampling Sampling;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct NativeStoryConcept
    {
        public IntPtr Title;
        public IntPtr Hero;
        public IntPtr Conflict;
        public IntPtr Place;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct NativeComposeOptions
    {
        public UIntPtr StructSize;
        public IntPtr Idea;
        public IntPtr NarratorPersonaId;
        public IntPtr CastPersonaIds;
        public UIntPtr CastCount;
        public IntPtr StoryConcept;
        public IntPtr Wish;
        public IntPtr PictureStyle;
        public IntPtr PictureNegativePrompt;
        public ulong PictureSeed;
        public int HasPictureSeed;
        public uint PictureCount;
        public uint PictureWidth;
        public uint PictureHeight;
        public uint PictureSteps;
        public int PromptsOnly;
        public uint TargetWords;
        public int BaseModel;
        public double DeadlineS;
        public NativeSampling Sampling;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct NativePersona
    {
        public IntPtr Id;
        public IntPtr Name;
        public IntPtr Summary;
        public int HasAdapter;
        public uint AdapterRank;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct NativeCompletion
    {
        public IntPtr Text;
        public IntPtr Description;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct NativeToken
    {
        public IntPtr Bytes;
        public UIntPtr ByteCount;
        public uint TokenId;
        public uint Reserved;
        public double LogProbability;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct NativeTokenProbability
    {
        public uint Position;
        public uint CandidateCount;
        public NativeToken Sampled;
        public IntPtr Candidates;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct NativeTurnStats
    {
        public uint PromptTokens;
        public uint CachedPromptTokens;
        public uint CompletionTokens;
        public uint MaxBatchRows;
        public uint MaxBatchAdapters;
        public uint SharedSteps;
        public double QueueS;
        public double TimeToFirstTokenS;
        public double TotalS;
        public double TokensPerS;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct NativeStory
    {
        public IntPtr StoryId;
        public int Part;
        public uint PictureIndex;
        public uint Step;
        public uint TotalSteps;
        public NativeStoryConcept StoryConcept;
        public IntPtr MediaType;
        public IntPtr Prompt;
        public uint Width;
        public uint Height;
        public ulong Seed;
        public int HasPicture;
        public uint TextSteps;
        public double TotalS;
        public double TextsS;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct NativeEvent
    {
        public int Kind;
        public int Last;
        public ulong Request;
        public ulong Scene;
        public IntPtr TurnId;
        public IntPtr SessionId;
        public IntPtr PersonaId;
        public IntPtr Text;
        public UIntPtr TextBytes;
        public IntPtr Json;
        public IntPtr Field;
        public IntPtr FallbackReason;
        public int Status;
        public int Connection;
        public int FinishReason;
        public int ConsoleStyle;
        public int Variant;
        public int AdapterApplied;
        public uint TokenCount;
        public uint PromptTokens;
        public uint CachedPromptTokens;
        public uint ReplaceStart;
        public uint ReplaceEnd;
        public uint DroppedEvents;
        public ulong Sequence;
        public long SampledUnixNs;
        public double RetryAfterS;
        public IntPtr Bytes;
        public UIntPtr ByteCount;
        public IntPtr Personas;
        public UIntPtr PersonaCount;
        public IntPtr Completions;
        public UIntPtr CompletionCount;
        public IntPtr Tokens;
        public UIntPtr TokenProbabilityCount;
        public NativeTurnStats Stats;
        public IntPtr Story;
    }
}
