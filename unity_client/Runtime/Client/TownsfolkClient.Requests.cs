using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;

namespace Townsfolk
{
    public sealed partial class TownsfolkClient
    {
        /// <summary>The daemon's personas. Default token: none.</summary>
        public Task<IReadOnlyList<Persona>> ListPersonasAsync(CancellationToken token = default(CancellationToken))
        {
            return Start(new PendingPersonas(), token, arena => NativeMethods.townsfolk_list_personas(handle));
        }

        /// <summary>Opens a conversation and returns its id. Default token: none.</summary>
        public Task<string> OpenSessionAsync(
            SessionRequest request, CancellationToken token = default(CancellationToken))
        {
            NotNull(request, "request");
            return Start(new PendingSession(), token, arena =>
            {
                NativeSessionOptions native = NativeRequests.Session(request, arena);
                return NativeMethods.townsfolk_open_session(handle, ref native);
            });
        }

        /// <summary>Opens a conversation with these personas and returns its id. The player has no name.</summary>
        public Task<string> OpenSessionAsync(params string[] personaIds)
        {
            return OpenSessionAsync(new SessionRequest { PersonaIds = personaIds });
        }

        /// <summary>Closes a conversation, cancels its lines and forgets it. Default token: none.</summary>
        public Task CloseSessionAsync(string sessionId, CancellationToken token = default(CancellationToken))
        {
            NotNull(sessionId, "sessionId");
            return Start(new PendingEnd(), token, arena =>
                NativeMethods.townsfolk_close_session(handle, arena.Text(sessionId, "sessionId")));
        }

        /// <summary>A conversation as opaque bytes for the game's own save file. Default token: none.</summary>
        public Task<byte[]> SaveSessionAsync(string sessionId, CancellationToken token = default(CancellationToken))
        {
            NotNull(sessionId, "sessionId");
            return Start(new PendingSave(), token, arena =>
                NativeMethods.townsfolk_save_session(handle, arena.Text(sessionId, "sessionId")));
        }

        /// <summary>Opens a conversation from saved bytes. Default session id: the one it was saved under. Default token: none.
        /// </summary>
        public Task<RestoredSession> RestoreSessionAsync(
            byte[] saved, string sessionId = null, CancellationToken token = default(CancellationToken))
        {
            NotNull(saved, "saved");
            return Start(new PendingRestore(), token, arena => NativeMethods.townsfolk_restore_session(
                handle, arena.Bytes(saved), (UIntPtr)saved.Length, arena.OptionalText(sessionId, "sessionId")));
        }

        /// <summary>Opens a copy of a conversation and returns its id. Default new session id: one is chosen. Default token:
        /// none.</summary>
        public Task<string> ForkSessionAsync(
            string sessionId, string newSessionId = null, CancellationToken token = default(CancellationToken))
        {
            NotNull(sessionId, "sessionId");
            return Start(new PendingSession(), token, arena => NativeMethods.townsfolk_fork_session(
                handle, arena.Text(sessionId, "sessionId"), arena.OptionalText(newSessionId, "newSessionId")));
        }

        /// <summary>Asks for a line. A line that ends without the token's doing, cancelled by a closed session for one, is a
        /// result like any other; see <see cref="SpokenLine.FinishReason"/>. Default handler: none. Default token: none.
        /// </summary>
        public Task<SpokenLine> SayAsync(
            SayRequest request, LineHandler handler = null, CancellationToken token = default(CancellationToken))
        {
            NotNull(request, "request");
            return Start(new PendingLine(handler), token, arena =>
            {
                NativeSayOptions native = NativeRequests.Say(request, arena);
                return NativeMethods.townsfolk_say(handle, ref native);
            });
        }

        /// <summary>Asks a persona for a one-off line. Default handler of new text: none. Default token: none.</summary>
        public Task<SpokenLine> SayAsync(
            string personaId,
            string text,
            Action<string> onSpeech = null,
            CancellationToken token = default(CancellationToken))
        {
            LineHandler handler = null;
            if (onSpeech != null)
            {
                handler = new LineHandler { Speech = delta => onSpeech(delta.Text) };
            }
            return SayAsync(new SayRequest { PersonaId = personaId, Text = text }, handler, token);
        }

        /// <summary>Opens a scene: any number of lines on one stream, cheaper where many speak.</summary>
        public Scene OpenScene()
        {
            PendingEnd closed = new PendingEnd();
            Call(closed, arena => NativeMethods.townsfolk_scene_open(handle));
            return new Scene(this, closed);
        }

        /// <summary>Says how many characters (code points, see <see cref="CodePoints"/>) of a line the player heard, so that
        /// the persona remembers no more; returns what it remembers. Ends the line if it still runs. Default token: none.
        /// </summary>
        public Task<string> HeardAsync(
            string turnId, int codePoints, CancellationToken token = default(CancellationToken))
        {
            NotNull(turnId, "turnId");
            if (codePoints < 0)
            {
                throw new ArgumentOutOfRangeException("codePoints", "Nobody hears less than nothing.");
            }
            return Start(new PendingText(), token, arena =>
                NativeMethods.townsfolk_heard(handle, arena.Text(turnId, "turnId"), (uint)codePoints));
        }

        /// <summary>Speaks one line in many variants, in one batch. Default handler: none. Default token: none.</summary>
        public Task<IReadOnlyList<VariantOutcome>> CompareAsync(
            CompareRequest request, CompareHandler handler = null, CancellationToken token = default(CancellationToken))
        {
            NotNull(request, "request");
            int variants = request.Variants == null ? 0 : request.Variants.Count;
            return Start(new PendingComparison(variants, handler), token, arena =>
            {
                NativeCompareOptions native = NativeRequests.Compare(request, arena);
                return NativeMethods.townsfolk_compare(handle, ref native);
            });
        }

        /// <summary>Runs a console command, such as "npc.stats". Default output: dropped. Default session: none. Default
        /// columns: 0, which means 80. Default token: none.</summary>
        public Task ExecuteAsync(
            string line,
            Action<ConsoleOutput> output = null,
            string sessionId = null,
            int columns = 0,
            CancellationToken token = default(CancellationToken))
        {
            NotNull(line, "line");
            return Start(new PendingCommand(output), token, arena => NativeMethods.townsfolk_console_execute(
                handle, arena.Text(line, "line"), arena.OptionalText(sessionId, "sessionId"), (uint)Math.Max(columns, 0)));
        }

        /// <summary>Ways to go on with a console line. Default cursor (an index as C# counts): -1, the end. Default session:
        /// none. Default token: none.</summary>
        public Task<Completions> CompleteAsync(
            string line,
            int cursor = -1,
            string sessionId = null,
            CancellationToken token = default(CancellationToken))
        {
            NotNull(line, "line");
            int codePoints = cursor < 0 ? -1 : CodePoints.Before(line, cursor);
            return Start(new PendingCompletions(line), token, arena => NativeMethods.townsfolk_console_complete(
                handle, arena.Text(line, "line"), codePoints, arena.OptionalText(sessionId, "sessionId")));
        }

        /// <summary>Writes a short story and has it illustrated, such as a book of the game. A picture that fails does not
        /// lose the story; see <see cref="ComposedStory.PictureErrors"/>. Default handler: none. Default token: none.</summary>
        public Task<ComposedStory> ComposeAsync(
            ComposeRequest request, ComposeHandler handler = null, CancellationToken token = default(CancellationToken))
        {
            NotNull(request, "request");
            return Start(new PendingStory(handler), token, arena =>
            {
                NativeComposeOptions native = NativeRequests.Compose(request, arena);
                return NativeMethods.townsfolk_compose(handle, ref native);
            });
        }

        /// <summary>The daemon's numbers as JSON, named as in daemon.proto. Default token: none.</summary>
        public Task<string> GetStatsAsync(CancellationToken token = default(CancellationToken))
        {
            return Start(new PendingJson(), token, arena => NativeMethods.townsfolk_get_stats(handle));
        }

        internal Task<SpokenLine> SayInScene(ulong scene, SayRequest request, LineHandler handler, CancellationToken token)
        {
            NotNull(request, "request");
            return Start(new PendingLine(handler), token, arena =>
            {
                NativeSayOptions native = NativeRequests.Say(request, arena);
                return NativeMethods.townsfolk_scene_say(handle, scene, ref native);
            });
        }

        internal void CloseScene(ulong scene)
        {
            lock (gate)
            {
                if (!handle.IsClosed)
                {
                    NativeMethods.townsfolk_scene_close(handle, scene);
                }
            }
        }

        private Task<T> Start<T>(PendingRequest<T> request, CancellationToken token, Func<NativeArena, ulong> call)
        {
            if (token.IsCancellationRequested)
            {
                return Task.FromCanceled<T>(token);
            }
            try
            {
                Call(request, call);
            }
            catch (TownsfolkException error)
            {
                return Task.FromException<T>(error);
            }
            request.CancelWith(token);
            return request.Task;
        }

        private void Call(PendingRequest request, Func<NativeArena, ulong> call)
        {
            using (NativeArena arena = new NativeArena())
            {
                lock (gate)
                {
                    if (handle.IsClosed)
                    {
                        throw new ObjectDisposedException("TownsfolkClient");
                    }
                    Begin(request, call(arena));
                }
            }
        }

        private static void NotNull(object argument, string name)
        {
            if (argument == null)
            {
                throw new ArgumentNullException(name);
            }
        }
    }
}
