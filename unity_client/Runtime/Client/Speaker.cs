using System;
using System.Threading;
using System.Threading.Tasks;

namespace Townsfolk
{
    /// <summary>One character that speaks one line at a time and can be interrupted.</summary>
    public sealed class Speaker
    {
        private readonly TownsfolkClient client;
        private readonly Conversation conversation;
        private readonly string personaId;
        private CancellationTokenSource running;
        private string turnId;

        /// <summary>A character in a conversation; without one its lines are not remembered.</summary>
        public Speaker(TownsfolkClient client, Conversation conversation, string personaId)
        {
            this.client = client;
            this.conversation = conversation;
            this.personaId = personaId;
        }

        /// <summary>Whether a line is on its way. Default: false.</summary>
        public bool IsSpeaking
        {
            get { return running != null; }
        }

        /// <summary>Asks for a line, and cancels the one that still runs. The request's persona and turn id are set here; an
        /// interrupted line's task is cancelled. Default handler: none. Default token: none.</summary>
        public async Task<SpokenLine> SayAsync(
            SayRequest line, LineHandler handler = null, CancellationToken token = default(CancellationToken))
        {
            CancelRunning();
            CancellationTokenSource own = CancellationTokenSource.CreateLinkedTokenSource(token);
            running = own;
            turnId = Guid.NewGuid().ToString("N");
            line.PersonaId = personaId;
            line.TurnId = turnId;
            try
            {
                return conversation == null
                    ? await client.SayAsync(line, handler, own.Token)
                    : await conversation.SayAsync(line, handler, own.Token);
            }
            finally
            {
                if (running == own)
                {
                    running = null;
                }
                own.Dispose();
            }
        }

        /// <summary>Stops the line that runs, or that has ended but is still being shown, after so many characters (code
        /// points); returns what the persona remembers of it: "" without a line or a conversation.</summary>
        public async Task<string> InterruptAsync(int heardCodePoints)
        {
            string interrupted = turnId;
            turnId = null;
            CancelRunning();
            if (interrupted == null || conversation == null || client.IsClosed)
            {
                return "";
            }
            try
            {
                return await client.HeardAsync(interrupted, heardCodePoints);
            }
            catch (TownsfolkException error)
            {
                if (error.Status != TownsfolkStatus.NotFound) // it never came as far as the daemon
                {
                    throw;
                }
                return "";
            }
        }

        private void CancelRunning()
        {
            CancellationTokenSource line = running;
            running = null;
            line?.Cancel();
        }
    }
}
