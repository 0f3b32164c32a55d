using System.Collections.Generic;

namespace Townsfolk
{
    internal sealed class PendingComparison : PendingRequest<IReadOnlyList<VariantOutcome>>
    {
        private readonly CompareHandler handler;
        private readonly VariantOutcome[] outcomes;

        public PendingComparison(int variants, CompareHandler handler)
        {
            this.handler = handler ?? new CompareHandler();
            outcomes = new VariantOutcome[variants];
            for (int i = 0; i < variants; i++)
            {
                outcomes[i] = new VariantOutcome();
            }
        }

        protected override void Tell(ref ClientEvent e)
        {
            if (e.Last || e.Variant < 0 || e.Variant >= outcomes.Length)
            {
                return;
            }
            switch (e.Kind)
            {
                case EventKind.Started:
                    handler.Started?.Invoke(e.Variant, new TurnStarted(e));
                    break;
                case EventKind.SpeechDelta:
                    handler.Speech?.Invoke(e.Variant, new SpeechDelta(e));
                    break;
                case EventKind.Emotion:
                    handler.Emotion?.Invoke(e.Variant, e.Text);
                    break;
                case EventKind.Action:
                    handler.Action?.Invoke(e.Variant, new PersonaAction(e.Text, e.Json));
                    break;
                case EventKind.Error:
                    outcomes[e.Variant].Error = e.Error;
                    handler.Failed?.Invoke(e.Variant, e.Error);
                    break;
            }
            if (e.Tokens != null)
            {
                handler.Tokens?.Invoke(e.Variant, e.Tokens);
            }
            if (e.Kind == EventKind.Finished)
            {
                outcomes[e.Variant].Line = new SpokenLine(e);
                handler.Finished?.Invoke(e.Variant, outcomes[e.Variant].Line);
            }
        }

        protected override IReadOnlyList<VariantOutcome> Result(ref ClientEvent e)
        {
            return outcomes;
        }
    }
}
