using UnityEngine;

namespace Townsfolk
{
    /// <summary>Owns the game's connection: opens it when it is first needed, brings events in every frame, and closes it when
    /// the game quits, the object goes or scripts are loaded anew. There is one; it makes itself if the scene has none.
    /// </summary>
    [DefaultExecutionOrder(-1000)]
    [DisallowMultipleComponent]
    [AddComponentMenu("Townsfolk/Townsfolk Daemon")]
    public sealed class TownsfolkDaemon : MonoBehaviour
    {
        [SerializeField]
        [Tooltip("Settings to use. Empty: the project's own, from Project Settings › Townsfolk.")]
        private TownsfolkSettings settings;

        [SerializeField]
        [Tooltip("The connection changed: its new state and why.")]
        private TextEvent onConnectionChanged = new TextEvent();

        private static TownsfolkDaemon instance;
        private static bool quitting;
        private TownsfolkClient client;
        private bool failed;

        /// <summary>The one daemon of the game, made on first use. Default: null while the game quits.</summary>
        public static TownsfolkDaemon Instance
        {
            get
            {
                if (instance == null && !quitting)
                {
#if UNITY_2023_1_OR_NEWER
                    instance = FindFirstObjectByType<TownsfolkDaemon>();
#else
                    instance = FindObjectOfType<TownsfolkDaemon>();
#endif
                    if (instance == null)
                    {
                        instance = new GameObject("Townsfolk Daemon").AddComponent<TownsfolkDaemon>();
                    }
                }
                return instance;
            }
        }

        /// <summary>The connection, opened on first use. Default: null where there is none: the library is missing, which was
        /// logged, or the game quits.</summary>
        public TownsfolkClient Client
        {
            get
            {
                if (client == null && !failed && !quitting && isActiveAndEnabled)
                {
                    Open();
                }
                return client;
            }
        }

        /// <summary>The connection changed: "Ready", "Lost" and so on, with the reason. No listeners by default.</summary>
        public TextEvent OnConnectionChanged
        {
            get { return onConnectionChanged; }
        }

        /// <summary>Closes the connection, if there is one; the next use opens a new one.</summary>
        public void Close()
        {
            TownsfolkClient closing = client;
            client = null;
            failed = false;
            closing?.Dispose();
        }

        // Without a domain reload, statics outlive Play.
        [RuntimeInitializeOnLoadMethod(RuntimeInitializeLoadType.SubsystemRegistration)]
        private static void ResetStatics()
        {
            instance = null;
            quitting = false;
        }

        private void Awake()
        {
            if (instance != null && instance != this)
            {
                Destroy(this);
                return;
            }
            instance = this;
            if (transform.parent == null)
            {
                DontDestroyOnLoad(gameObject);
            }
        }

        private void Update()
        {
            client?.Update();
        }

        // Unity calls this before it loads scripts anew, too.
        private void OnDisable()
        {
            Close();
        }

        private void OnDestroy()
        {
            Close();
            if (instance == this)
            {
                instance = null;
            }
        }

        private void OnApplicationQuit()
        {
            if (instance == this)
            {
                quitting = true;
            }
            Close();
        }

        private void Open()
        {
            try
            {
                client = TownsfolkClient.Connect((settings != null ? settings : TownsfolkSettings.Load()).ToOptions());
            }
            catch (TownsfolkException error)
            {
                failed = true; // once is enough to read it
                Debug.LogError(error.Message, this);
                return;
            }
            client.ConnectionChanged += Report;
            client.EventsLost += count => Debug.LogWarning(
                "Townsfolk lost " + count + " events because the game did not take them for too long.", this);
        }

        private void Report(ConnectionChange change)
        {
            if (change.State == ConnectionState.Failed)
            {
                Debug.LogError("Townsfolk: " + change.Reason, this);
            }
            onConnectionChanged.Invoke(
                string.IsNullOrEmpty(change.Reason) ? change.State.ToString() : change.State + ": " + change.Reason);
        }
    }
}
