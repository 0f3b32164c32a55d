using UnityEngine;

namespace Townsfolk
{
    /// <summary>How the game reaches its daemon: an asset, edited under Project Settings › Townsfolk.</summary>
    public sealed class TownsfolkSettings : ScriptableObject
    {
        /// <summary>Name under which the asset lies in a Resources folder.</summary>
        public const string ResourceName = "TownsfolkSettings";

        [SerializeField]
        [Tooltip("host:port or unix:/path. Empty: the daemon that has announced itself on this machine.")]
        private string address = "";

        [SerializeField]
        [Tooltip("Token that the daemon asks for. Empty: the announced one. Leave it empty in a game that you ship.")]
        private string token = "";

        [SerializeField]
        [Tooltip("PEM file of the certificate authority to trust. Empty: no TLS.")]
        private string tlsCertificate = "";

        [SerializeField]
        [Tooltip("Start a daemon if none runs. Ignored when an address is given.")]
        private bool launchDaemon = true;

        [SerializeField]
        [Tooltip("Command that starts the daemon. Empty: townsfolk beside the game, in .venv or on the PATH.")]
        private string launchCommand = "";

        [SerializeField]
        [Tooltip("Folder in which the daemon starts; it looks for ./personas there. Empty: the project's or game's folder.")]
        private string launchFolder = "";

        [SerializeField]
        [Tooltip("Seconds that requests other than lines may take.")]
        private float callDeadlineSeconds = 10;

        [SerializeField]
        [Tooltip("Seconds that a line may take.")]
        private float turnDeadlineSeconds = 120;

        [SerializeField]
        [Tooltip("Events that may wait for the next frame.")]
        private int maxWaitingEvents = 8192;

        /// <summary>The project's settings asset, or defaults where it has none.</summary>
        public static TownsfolkSettings Load()
        {
            TownsfolkSettings settings = Resources.Load<TownsfolkSettings>(ResourceName);
            return settings != null ? settings : CreateInstance<TownsfolkSettings>();
        }

        /// <summary>Folder in which a launched daemon starts. Default: "", the project's or game's folder.</summary>
        public string LaunchFolder
        {
            get { return launchFolder; }
        }

        /// <summary>The same as options of <see cref="TownsfolkClient.Connect"/>. Default: the daemon of this machine, started
        /// if none runs; 10 s for calls, 120 s for lines, 8192 events.</summary>
        public ConnectOptions ToOptions()
        {
            return new ConnectOptions
            {
                Address = address,
                Token = token,
                TlsCertificate = tlsCertificate,
                Launch = launchDaemon,
                LaunchCommand = launchCommand,
                LaunchFolder = launchFolder,
                CallDeadlineSeconds = callDeadlineSeconds,
                TurnDeadlineSeconds = turnDeadlineSeconds,
                MaxWaitingEvents = maxWaitingEvents
            };
        }
    }
}
