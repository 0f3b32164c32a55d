using System.Threading;
using System.Threading.Tasks;

namespace Townsfolk
{
    /// <summary>Many personas and lines on one stream; made by <see cref="TownsfolkClient.OpenScene"/>.</summary>
    public sealed class Scene
    {
        private readonly TownsfolkClient client;
        private readonly PendingEnd closed;

        internal Scene(TownsfolkClient client, PendingEnd closed)
        {
            this.client = client;
            this.closed = closed;
        }

        /// <summary>Ends when the scene is closed, and fails if its stream does. Default: running.</summary>
        public Task Closed
        {
            get { return closed.Task; }
        }

        /// <summary>Asks for a line in this scene; otherwise as <see cref="TownsfolkClient.SayAsync(SayRequest, LineHandler,
        /// CancellationToken)"/>. Default handler: none. Default token: none.</summary>
        public Task<SpokenLine> SayAsync(
            SayRequest request, LineHandler handler = null, CancellationToken token = default(CancellationToken))
        {
            return client.SayInScene(closed.Number, request, handler, token);
        }

        /// <summary>Lets the running lines end, then closes the scene.</summary>
        public Task CloseAsync()
        {
            client.CloseScene(closed.Number);
            return Closed;
        }

        /// <summary>Ends the scene and all of its lines at once. <see cref="Closed"/> then fails as cancelled.</summary>
        public void Cancel()
        {
            client.Cancel(closed.Number);
        }
    }
}
