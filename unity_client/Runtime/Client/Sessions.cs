using System.Collections.Generic;

namespace Townsfolk
{
    /// <summary>A persona of the daemon.</summary>
    public sealed class Persona
    {
        internal Persona(string id, string name, string summary, bool hasAdapter, int adapterRank)
        {
            Id = id;
            Name = name;
            Summary = summary;
            HasAdapter = hasAdapter;
            AdapterRank = adapterRank;
        }

        /// <summary>Its id, the name of its folder. No default.</summary>
        public string Id { get; }

        /// <summary>The name that players know. No default.</summary>
        public string Name { get; }

        /// <summary>Who it is, in a sentence. Default: "".</summary>
        public string Summary { get; }

        /// <summary>Whether it has an adapter for the daemon's model. Default: false.</summary>
        public bool HasAdapter { get; }

        /// <summary>Rank of that adapter. Default: 0, none.</summary>
        public int AdapterRank { get; }
    }

    /// <summary>A conversation to open.</summary>
    public sealed class SessionRequest
    {
        /// <summary>Your own id for it; it must not be open. Default: null, one is chosen.</summary>
        public string SessionId { get; set; }

        /// <summary>Who takes part, 1 to 32 ids of personas. Default: null, which is refused.</summary>
        public IList<string> PersonaIds { get; set; }

        /// <summary>What the personas call the player. Default: null, they do not know.</summary>
        public string PlayerName { get; set; }
    }

    /// <summary>A conversation that was restored.</summary>
    public sealed class RestoredSession
    {
        internal RestoredSession(string sessionId, IReadOnlyList<string> missingPersonaIds)
        {
            SessionId = sessionId;
            MissingPersonaIds = missingPersonaIds;
        }

        /// <summary>Its id. No default.</summary>
        public string SessionId { get; }

        /// <summary>Personas of the conversation that the daemon does not have. Default: empty.</summary>
        public IReadOnlyList<string> MissingPersonaIds { get; }
    }
}
