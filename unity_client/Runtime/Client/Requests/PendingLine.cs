namespace Townsfolk
{
    internal sealed class PendingLine : PendingRequest<SpokenLine>
    {
        private readonly LineHandler handler;
        private SpokenLine line;

        public PendingLine(LineHandler handler)
        {
            this.handler = handler ?? new LineHandler();
        }

        protected override void Tell(ref ClientEvent e)
        {
            switch (e.Kind)
            {
                case EventKind.Started:
                    handler.Started?.Invoke(new TurnStarted(e));
                    break;
                case EventKind.SpeechDelta:
                    handler.Speech?.Invoke(new SpeechDelta(e));
                    break;
                case EventKind.Emotion:
                    handler.Emotion?.Invoke(e.Text);
                    break;
                case EventKind.Action:
                    handler.Action?.Invoke(new PersonaAction(e.Text, e.Json));
                    break;
                case EventKind.Finished:
                    line = new SpokenLine(e);
                    handler.Finished?.Invoke(line);
                    break;
            }
        }

        protected override SpokenLine Result(ref ClientEvent e)
        {
            return line;
        }
    }
}
