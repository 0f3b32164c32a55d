namespace Townsfolk
{
    /// <summary>Where and how to connect. As it is made, it finds the daemon of this machine by itself.</summary>
    public sealed class ConnectOptions
    {
        /// <summary>"host:port" or "unix:/path". Default: null, which takes the environment's TOWNSFOLK_ADDRESS, else the
        /// daemon that has announced itself to this user.</summary>
        public string Address { get; set; }

        /// <summary>Token that the daemon asks for. Default: null, which takes the announced one.</summary>
        public string Token { get; set; }

        /// <summary>PEM file of the certificate authority to trust. Default: null, which means no TLS.</summary>
        public string TlsCertificate { get; set; }

        /// <summary>Start a daemon if none runs; ignored when an address is given. Default: false.</summary>
        public bool Launch { get; set; }

        /// <summary>Command that launches the daemon. Default: null, which looks for `townsfolk` in TOWNSFOLK_COMMAND,
        /// beside the game, in a virtual environment of the project and on the PATH.</summary>
        public string LaunchCommand { get; set; }

        /// <summary>Working folder of the launched daemon, where it looks for ./personas. Default: null, which is that of
        /// this process.</summary>
        public string LaunchFolder { get; set; }

        /// <summary>Events that may wait for <see cref="TownsfolkClient.Update"/>. Default: 0, which means 8192.</summary>
        public int MaxWaitingEvents { get; set; }

        /// <summary>Seconds that requests other than lines may take. Default: 0, which means 10.</summary>
        public double CallDeadlineSeconds { get; set; }

        /// <summary>Seconds that lines may take if they name no deadline. Default: 0, which means 120.</summary>
        public double TurnDeadlineSeconds { get; set; }
    }

    /// <summary>State of the connection.</summary>
    public enum ConnectionState
    {
        /// <summary>Trying, for the first time or again. The default.</summary>
        Connecting = 0,
        /// <summary>The daemon that is to be launched loads its model.</summary>
        Launching = 1,
        /// <summary>Connected, and the daemon serves.</summary>
        Ready = 2,
        /// <summary>Connected, but the engine loads or is being started again; requests wait for it.</summary>
        NotServing = 3,
        /// <summary>Not connected; the next try follows by itself.</summary>
        Lost = 4,
        /// <summary>Given up: the token is wrong, or the daemon cannot be launched.</summary>
        Failed = 5
    }

    /// <summary>A change of the connection.</summary>
    public struct ConnectionChange
    {
        internal ConnectionChange(ConnectionState state, string reason)
        {
            State = state;
            Reason = reason;
        }

        /// <summary>The new state. Default: <see cref="ConnectionState.Connecting"/>.</summary>
        public ConnectionState State { get; }

        /// <summary>Why, in one sentence. Default: null or "" where there is nothing to say.</summary>
        public string Reason { get; }
    }
}
