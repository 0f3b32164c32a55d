using System;
using UnityEditor;

namespace Townsfolk.EditorTools
{
    // The editor's own connection, the only one outside of Play. Whatever runs on it ends here: before scripts are loaded
    // anew, on Play and Stop, and when the editor quits.
    [InitializeOnLoad]
    internal static class EditorTown
    {
        private static TownsfolkClient client;
        private static bool mayLaunch;

        static EditorTown()
        {
            EditorApplication.update += Pump;
            EditorApplication.quitting += Close;
            EditorApplication.playModeStateChanged += CloseOnPlayAndStop;
            AssemblyReloadEvents.beforeAssemblyReload += Close;
        }

        // Something came in, or the connection was closed: windows draw themselves again.
        public static event Action Changed;

        // Why there is no connection, for people to read; null where there is one.
        public static string Problem { get; private set; }

        // The connection for something that a person asked for: starts a daemon if the settings say so. Null where it
        // cannot be opened, see Problem.
        public static TownsfolkClient Client
        {
            get
            {
                if (client != null && !mayLaunch && client.Connection.State != ConnectionState.Ready)
                {
                    Close();
                }
                if (client == null)
                {
                    Open(true);
                }
                return client;
            }
        }

        // The connection for looking only: nobody starts a daemon by selecting an object.
        public static TownsfolkClient Listening
        {
            get
            {
                if (client == null)
                {
                    Open(false);
                }
                return client;
            }
        }

        public static string Status
        {
            get
            {
                if (client == null)
                {
                    return Problem ?? "not connected";
                }
                ConnectionChange connection = client.Connection;
                return string.IsNullOrEmpty(connection.Reason)
                    ? connection.State.ToString()
                    : connection.State + ": " + connection.Reason;
            }
        }

        public static void Close()
        {
            TownsfolkClient closing = client;
            client = null;
            Problem = null;
            if (closing != null)
            {
                closing.Dispose();
                Changed?.Invoke();
            }
        }

        private static void Open(bool launch)
        {
            ConnectOptions options = TownsfolkSettings.Load().ToOptions();
            options.Launch &= launch;
            mayLaunch = launch;
            try
            {
                client = TownsfolkClient.Connect(options);
                Problem = null;
            }
            catch (TownsfolkException error)
            {
                Problem = error.Message;
            }
        }

        private static void Pump()
        {
            if (client != null && client.Update() > 0)
            {
                Changed?.Invoke();
            }
        }

        private static void CloseOnPlayAndStop(PlayModeStateChange change)
        {
            if (change == PlayModeStateChange.ExitingEditMode || change == PlayModeStateChange.ExitingPlayMode)
            {
                Close();
            }
        }
    }
}
