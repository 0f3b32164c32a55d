using System.Threading.Tasks;
using UnityEngine;

namespace Townsfolk
{
    /// <summary>A conversation that several NPCs share: each remembers what the others said in it.</summary>
    [AddComponentMenu("Townsfolk/Townsfolk Conversation")]
    public sealed class TownsfolkConversation : MonoBehaviour
    {
        [SerializeField]
        [PersonaId]
        [Tooltip("Who takes part, 1 to 32 personas.")]
        private string[] personaIds = new string[0];

        [SerializeField]
        [Tooltip("What the personas call the player. Empty: they do not know.")]
        private string playerName = "";

        private Conversation conversation;

        /// <summary>The conversation on the daemon's connection. Default: null without a connection.</summary>
        public Conversation Conversation
        {
            get
            {
                TownsfolkDaemon daemon = TownsfolkDaemon.Instance;
                TownsfolkClient client = daemon != null ? daemon.Client : null;
                if (client != null && (conversation == null || conversation.Client != client))
                {
                    conversation = new Conversation(client, personaIds, playerName);
                }
                return client != null ? conversation : null;
            }
        }

        /// <summary>Its state for the game's own save file.</summary>
        public Task<byte[]> SaveAsync()
        {
            return Connected().SaveAsync();
        }

        /// <summary>Goes on from a saved state.</summary>
        public Task RestoreAsync(byte[] saved)
        {
            return Connected().RestoreAsync(saved);
        }

        private Conversation Connected()
        {
            Conversation own = Conversation;
            if (own == null)
            {
                throw new TownsfolkException(TownsfolkStatus.Unavailable, "There is no connection to a daemon.");
            }
            return own;
        }
    }
}
