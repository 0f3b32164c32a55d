using System;
using System.Collections.Generic;

namespace Townsfolk
{
    // The requests that one event answers.

    internal sealed class PendingPersonas : PendingRequest<IReadOnlyList<Persona>>
    {
        protected override IReadOnlyList<Persona> Result(ref ClientEvent e)
        {
            return e.Personas;
        }
    }

    internal sealed class PendingSession : PendingRequest<string>
    {
        protected override string Result(ref ClientEvent e)
        {
            return e.SessionId;
        }
    }

    internal sealed class PendingRestore : PendingRequest<RestoredSession>
    {
        protected override RestoredSession Result(ref ClientEvent e)
        {
            string[] missing = e.Text.Split(new[] { ',' }, StringSplitOptions.RemoveEmptyEntries);
            for (int i = 0; i < missing.Length; i++)
            {
                missing[i] = missing[i].Trim();
            }
            return new RestoredSession(e.SessionId, missing);
        }
    }

    internal sealed class PendingSave : PendingRequest<byte[]>
    {
        protected override byte[] Result(ref ClientEvent e)
        {
            return e.Bytes;
        }
    }

    // Answers in the event's text.
    internal sealed class PendingText : PendingRequest<string>
    {
        protected override string Result(ref ClientEvent e)
        {
            return e.Text;
        }
    }

    // Answers in the event's JSON.
    internal sealed class PendingJson : PendingRequest<string>
    {
        protected override string Result(ref ClientEvent e)
        {
            return e.Json;
        }
    }

    // Ends without an answer.
    internal sealed class PendingEnd : PendingRequest<bool>
    {
        protected override bool Result(ref ClientEvent e)
        {
            return true;
        }
    }

    internal sealed class PendingCommand : PendingRequest<bool>
    {
        private readonly Action<ConsoleOutput> output;

        public PendingCommand(Action<ConsoleOutput> output)
        {
            this.output = output;
        }

        protected override void Tell(ref ClientEvent e)
        {
            if (e.Kind == EventKind.ConsoleOutput)
            {
                output?.Invoke(new ConsoleOutput(e.Text, e.ConsoleStyle));
            }
        }

        protected override bool Result(ref ClientEvent e)
        {
            return true;
        }
    }

    internal sealed class PendingCompletions : PendingRequest<Completions>
    {
        private readonly string line;

        public PendingCompletions(string line)
        {
            this.line = line;
        }

        protected override Completions Result(ref ClientEvent e)
        {
            return new Completions(
                e.Completions,
                CodePoints.IndexOf(line, (int)e.ReplaceStart),
                CodePoints.IndexOf(line, (int)e.ReplaceEnd));
        }
    }
}
