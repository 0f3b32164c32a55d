using System;
using System.Collections.Generic;

namespace Townsfolk
{
    // The library's option structs, filled.
    internal static unsafe class NativeRequests
    {
        public static NativeOptions Options(ConnectOptions options, NativeArena arena)
        {
            return new NativeOptions
            {
                StructSize = (UIntPtr)sizeof(NativeOptions),
                Address = arena.OptionalText(options.Address, "Address"),
                Token = arena.OptionalText(options.Token, "Token"),
                TlsCertificate = arena.OptionalText(options.TlsCertificate, "TlsCertificate"),
                Launch = options.Launch ? 1 : 0,
                MaxWaitingEvents = NotNegative(options.MaxWaitingEvents, "MaxWaitingEvents"),
                LaunchCommand = arena.OptionalText(options.LaunchCommand, "LaunchCommand"),
                LaunchFolder = arena.OptionalText(options.LaunchFolder, "LaunchFolder"),
                CallDeadlineS = options.CallDeadlineSeconds,
                TurnDeadlineS = options.TurnDeadlineSeconds
            };
        }

        public static NativeSayOptions Say(SayRequest request, NativeArena arena)
        {
            return new NativeSayOptions
            {
                StructSize = (UIntPtr)sizeof(NativeSayOptions),
                SessionId = arena.OptionalText(request.SessionId, "SessionId"),
                PersonaId = arena.OptionalText(request.PersonaId, "PersonaId"),
                Text = arena.OptionalText(request.Text, "Text"),
                Situation = arena.OptionalText(request.Situation, "Situation"),
                TurnId = arena.OptionalText(request.TurnId, "TurnId"),
                Priority = (int)request.Priority,
                WithCues = request.WithCues ? 1 : 0,
                DeadlineS = request.DeadlineSeconds,
                Sampling = Sampling.ToNative(request.Sampling)
            };
        }

        public static NativeSessionOptions Session(SessionRequest request, NativeArena arena)
        {
            IList<string> personas = request.PersonaIds ?? new string[0];
            return new NativeSessionOptions
            {
                StructSize = (UIntPtr)sizeof(NativeSessionOptions),
                SessionId = arena.OptionalText(request.SessionId, "SessionId"),
                PersonaIds = arena.Texts(personas, "PersonaIds"),
                PersonaCount = (UIntPtr)personas.Count,
                PlayerName = arena.OptionalText(request.PlayerName, "PlayerName")
            };
        }

        public static NativeCompareOptions Compare(CompareRequest request, NativeArena arena)
        {
            IList<CompareVariant> variants = request.Variants ?? new CompareVariant[0];
            List<NativeVariant> natives = new List<NativeVariant>(variants.Count);
            foreach (CompareVariant variant in variants)
            {
                natives.Add(Variant(variant, arena));
            }
            return new NativeCompareOptions
            {
                StructSize = (UIntPtr)sizeof(NativeCompareOptions),
                Text = arena.OptionalText(request.Text, "Text"),
                Situation = arena.OptionalText(request.Situation, "Situation"),
                SessionId = arena.OptionalText(request.SessionId, "SessionId"),
                Variants = arena.Variants(natives),
                VariantCount = (UIntPtr)natives.Count,
                TopTokens = NotNegative(request.TopTokens, "TopTokens"),
                Sampling = Sampling.ToNative(request.Sampling)
            };
        }

        public static NativeComposeOptions Compose(ComposeRequest request, NativeArena arena)
        {
            IList<string> cast = request.CastPersonaIds ?? new string[0];
            PictureOptions pictures = request.Pictures ?? new PictureOptions { Count = 0 };
            return new NativeComposeOptions
            {
                StructSize = (UIntPtr)sizeof(NativeComposeOptions),
                Idea = arena.OptionalText(request.Idea, "Idea"),
                NarratorPersonaId = arena.OptionalText(request.NarratorPersonaId, "NarratorPersonaId"),
                CastPersonaIds = arena.Texts(cast, "CastPersonaIds"),
                CastCount = (UIntPtr)cast.Count,
                StoryConcept = request.Concept == null ? IntPtr.Zero : arena.StoryConcept(request.Concept),
                Wish = arena.OptionalText(request.Wish, "Wish"),
                PictureStyle = arena.OptionalText(pictures.Style, "Pictures.Style"),
                PictureNegativePrompt = arena.OptionalText(pictures.NegativePrompt, "Pictures.NegativePrompt"),
                PictureSeed = pictures.Seed.GetValueOrDefault(),
                HasPictureSeed = pictures.Seed.HasValue ? 1 : 0,
                PictureCount = NotNegative(pictures.Count, "Pictures.Count"),
                PictureWidth = NotNegative(pictures.Width, "Pictures.Width"),
                PictureHeight = NotNegative(pictures.Height, "Pictures.Height"),
                PictureSteps = NotNegative(pictures.Steps, "Pictures.Steps"),
                PromptsOnly = pictures.PromptsOnly ? 1 : 0,
                TargetWords = NotNegative(request.TargetWords, "TargetWords"),
                BaseModel = request.BaseModel ? 1 : 0,
                DeadlineS = request.DeadlineSeconds,
                Sampling = Sampling.ToNative(request.Sampling)
            };
        }

        private static NativeVariant Variant(CompareVariant variant, NativeArena arena)
        {
            return new NativeVariant
            {
                StructSize = (UIntPtr)sizeof(NativeVariant),
                PersonaId = arena.OptionalText(variant.PersonaId, "PersonaId"),
                Kind = (int)variant.Kind,
                HasAdapterScale = variant.AdapterScale.HasValue ? 1 : 0,
                AdapterScale = variant.AdapterScale.GetValueOrDefault(),
                SystemPrompt = arena.Text(variant.SystemPrompt, "SystemPrompt"),
                Sampling = Sampling.ToNative(variant.Sampling)
            };
        }

        private static uint NotNegative(int value, string name)
        {
            if (value < 0)
            {
                throw new ArgumentOutOfRangeException(name, name + " must not be negative.");
            }
            return (uint)value;
        }
    }
}
