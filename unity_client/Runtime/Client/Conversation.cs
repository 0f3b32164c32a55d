using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;

namespace Townsfolk
{
    /// <summary>A session that opens itself when the first line is asked for. Should the daemon have forgotten it, it is opened
    /// anew, without its past.</summary>
    public sealed class Conversation
    {
        private readonly TownsfolkClient client;
        private readonly SessionRequest request;
        private Task<string> opened;

        /// <summary>A conversation of these personas. Default player name: null, not known to them.</summary>
        public Conversation(TownsfolkClient client, IList<string> personaIds, string playerName = null)
        {
            this.client = client;
            request = new SessionRequest { PersonaIds = personaIds, PlayerName = playerName };
        }

        /// <summary>The session's id. Default: null as long as it is not open.</summary>
        public string SessionId
        {
            get { return opened != null && opened.Status == TaskStatus.RanToCompletion ? opened.Result : null; }
        }

        /// <summary>The client it runs on. No default.</summary>
        public TownsfolkClient Client
        {
            get { return client; }
        }

        /// <summary>Asks for a line; the request's session is set here. Default handler: none. Default token: none.</summary>
        public async Task<SpokenLine> SayAsync(
            SayRequest line, LineHandler handler = null, CancellationToken token = default(CancellationToken))
        {
            line.SessionId = await OpenAsync();
            token.ThrowIfCancellationRequested();
            try
            {
                return await client.SayAsync(line, handler, token);
            }
            catch (TownsfolkException error)
            {
                if (error.Status != TownsfolkStatus.NotFound || error.Field != "session_id")
                {
                    throw;
                }
            }
            if (SessionId == line.SessionId)
            {
                opened = null;
            }
            line.SessionId = await OpenAsync();
            return await client.SayAsync(line, handler, token);
        }

        /// <summary>Opens it now rather than with its first line; returns its id.</summary>
        public Task<string> OpenAsync()
        {
            if (opened == null || opened.IsFaulted || opened.IsCanceled)
            {
                opened = client.OpenSessionAsync(request);
            }
            return opened;
        }

        /// <summary>Its state for the game's own save file. Default token: none.</summary>
        public async Task<byte[]> SaveAsync(CancellationToken token = default(CancellationToken))
        {
            return await client.SaveSessionAsync(await OpenAsync(), token);
        }

        /// <summary>Goes on from a saved state; what was said since is closed and forgotten once the state is accepted. Returns
        /// the ids of personas that this daemon does not have. Default token: none.</summary>
        public async Task<IReadOnlyList<string>> RestoreAsync(
            byte[] saved, CancellationToken token = default(CancellationToken))
        {
            string before = SessionId;
            string own = "restored-" + System.Guid.NewGuid().ToString("N");
            RestoredSession restored = await client.RestoreSessionAsync(saved, own, token);
            opened = Task.FromResult(restored.SessionId);
            if (before != null)
            {
                await client.CloseSessionAsync(before, token);
            }
            return restored.MissingPersonaIds;
        }

        /// <summary>Closes and forgets it; the next line opens a new one. Default token: none.</summary>
        public async Task CloseAsync(CancellationToken token = default(CancellationToken))
        {
            string session = SessionId;
            opened = null;
            if (session != null)
            {
                await client.CloseSessionAsync(session, token);
            }
        }
    }
}
