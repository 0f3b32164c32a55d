using System;
using System.Collections.Generic;

namespace Townsfolk
{
    // The arrays that an event points to.
    internal static unsafe class EventLists
    {
        public static IReadOnlyList<Persona> Personas(NativeEvent* native)
        {
            NativePersona* source = (NativePersona*)native->Personas;
            Persona[] personas = new Persona[checked((int)native->PersonaCount)];
            for (int i = 0; i < personas.Length; i++)
            {
                personas[i] = new Persona(
                    NativeText.Read(source[i].Id),
                    NativeText.Read(source[i].Name),
                    NativeText.Read(source[i].Summary),
                    source[i].HasAdapter != 0,
                    (int)source[i].AdapterRank);
            }
            return personas;
        }

        public static IReadOnlyList<Completion> Completions(NativeEvent* native)
        {
            NativeCompletion* source = (NativeCompletion*)native->Completions;
            Completion[] completions = new Completion[checked((int)native->CompletionCount)];
            for (int i = 0; i < completions.Length; i++)
            {
                completions[i] = new Completion(
                    NativeText.Read(source[i].Text), NativeText.Read(source[i].Description));
            }
            return completions;
        }

        // Null where there are none, as with every ordinary line.
        public static IReadOnlyList<TokenProbability> Tokens(NativeEvent* native)
        {
            if (native->TokenProbabilityCount == UIntPtr.Zero)
            {
                return null;
            }
            NativeTokenProbability* source = (NativeTokenProbability*)native->Tokens;
            TokenProbability[] tokens = new TokenProbability[checked((int)native->TokenProbabilityCount)];
            for (int i = 0; i < tokens.Length; i++)
            {
                NativeToken* candidates = (NativeToken*)source[i].Candidates;
                Token[] others = new Token[checked((int)source[i].CandidateCount)];
                for (int j = 0; j < others.Length; j++)
                {
                    others[j] = ReadToken(candidates[j]);
                }
                tokens[i] = new TokenProbability((int)source[i].Position, ReadToken(source[i].Sampled), others);
            }
            return tokens;
        }

        private static Token ReadToken(NativeToken token)
        {
            return new Token(
                (int)token.TokenId, NativeText.ReadBytes(token.Bytes, token.ByteCount), token.LogProbability);
        }
    }
}
