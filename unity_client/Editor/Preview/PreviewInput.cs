namespace Townsfolk.EditorTools
{
    // What a preview is asked for.
    internal sealed class PreviewInput
    {
        public string PersonaId = "";
        public string Text = "";
        public double AdapterScale = 1;

        // How many likeliest tokens to report at each place. 0: no shading.
        public int TopTokens;

        // Null: the persona's own.
        public Sampling Sampling;

        public CompareRequest ToRequest()
        {
            return new CompareRequest
            {
                Text = Text,
                Sampling = Sampling,
                TopTokens = TopTokens,
                Variants = new[]
                {
                    new CompareVariant { Kind = VariantKind.Base },
                    new CompareVariant { Kind = VariantKind.PromptOnly, PersonaId = PersonaId },
                    new CompareVariant
                    {
                        Kind = VariantKind.Persona,
                        PersonaId = PersonaId,
                        AdapterScale = AdapterScale
                    }
                }
            };
        }
    }
}
