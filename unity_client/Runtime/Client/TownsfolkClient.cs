using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;

namespace Townsfolk
{
    /// <summary>A connection to a Townsfolk daemon. Every request returns a task at once; <see cref="Update"/>, called once a
    /// frame, brings events in, and on its thread all handlers and continuations run. So never wait for a task of this
    /// class with Wait() or Result on that thread. Requests and <see cref="Dispose"/> may be called on any thread.</summary>
    public sealed partial class TownsfolkClient : IDisposable
    {
        private readonly object gate = new object();
        private readonly ClientHandle handle;
        private readonly Dictionary<ulong, PendingRequest> pending = new Dictionary<ulong, PendingRequest>();
        private bool updating;

        private TownsfolkClient(ClientHandle handle)
        {
            this.handle = handle;
        }

        /// <summary>Called in <see cref="Update"/> when the connection changes. Default: null.</summary>
        public event Action<ConnectionChange> ConnectionChanged;

        /// <summary>Called in <see cref="Update"/> with the number of events that were lost because nobody called it for
        /// long; the lines they belonged to fail. Default: null.</summary>
        public event Action<int> EventsLost;

        /// <summary>The connection as of the latest <see cref="Update"/>. Default: connecting.</summary>
        public ConnectionChange Connection { get; private set; }

        /// <summary>Whether <see cref="Dispose"/> was called. Default: false.</summary>
        public bool IsClosed
        {
            get { return handle.IsClosed; }
        }

        /// <summary>Requests that have not ended yet. Default: 0.</summary>
        public int RunningRequests
        {
            get
            {
                lock (gate)
                {
                    return pending.Count;
                }
            }
        }

        /// <summary>The native library's own version, such as "0.1.0". No default.</summary>
        public static string LibraryVersion
        {
            get
            {
                NativeLibrary.Check();
                return NativeText.Read(NativeMethods.townsfolk_version());
            }
        }

        /// <summary>A client, which connects in the background; requests wait for the connection as long as their deadline
        /// lets them. Throws <see cref="TownsfolkLibraryException"/> without a fitting native library and
        /// <see cref="TownsfolkException"/> for options that cannot be right. Default options: the daemon of this machine.
        /// </summary>
        public static TownsfolkClient Connect(ConnectOptions options = null)
        {
            NativeLibrary.Check();
            options = options ?? new ConnectOptions();
            using (NativeArena arena = new NativeArena())
            {
                NativeOptions native = NativeRequests.Options(options, arena);
                IntPtr client;
                int status = NativeMethods.townsfolk_connect(ref native, out client);
                if (status != (int)TownsfolkStatus.Ok || client == IntPtr.Zero)
                {
                    throw new TownsfolkException((TownsfolkStatus)status, LastError());
                }
                return new TownsfolkClient(new ClientHandle(client));
            }
        }

        /// <summary>Brings in what has happened, calls handlers and completes tasks, all on this thread. Call it once a frame.
        /// Never waits; allocates nothing if nothing has happened. Returns the number of events. Default: at most 4096 of
        /// them; the others follow next time.</summary>
        public int Update(int maxEvents = 4096)
        {
            int count = 0;
            ClientEvent e;
            PendingRequest request;
            while (count < maxEvents && Next(out e, out request))
            {
                try
                {
                    Deliver(ref e, request);
                }
                finally
                {
                    updating = false;
                }
                count++;
            }
            return count;
        }

        /// <summary>Cancels everything that runs and closes the connection, within 100 ms. Tasks that have not ended are
        /// cancelled, on this thread. May be called twice.</summary>
        public void Dispose()
        {
            PendingRequest[] abandoned;
            lock (gate)
            {
                if (handle.IsClosed)
                {
                    return;
                }
                handle.Dispose();
                abandoned = new PendingRequest[pending.Count];
                pending.Values.CopyTo(abandoned, 0);
                pending.Clear();
            }
            foreach (PendingRequest request in abandoned)
            {
                request.Abandon();
            }
        }

        internal void Cancel(ulong request)
        {
            lock (gate)
            {
                if (!handle.IsClosed)
                {
                    NativeMethods.townsfolk_cancel(handle, request);
                }
            }
        }

        private unsafe bool Next(out ClientEvent e, out PendingRequest request)
        {
            request = null;
            lock (gate)
            {
                IntPtr native = updating || handle.IsClosed ? IntPtr.Zero : NativeMethods.townsfolk_poll(handle);
                if (native == IntPtr.Zero)
                {
                    e = new ClientEvent();
                    return false;
                }
                updating = true;
                e = ClientEvent.Read((NativeEvent*)native);
                if (e.Request != 0 && pending.TryGetValue(e.Request, out request) && e.Last)
                {
                    pending.Remove(e.Request);
                }
                return true;
            }
        }

        private void Deliver(ref ClientEvent e, PendingRequest request)
        {
            if (request != null)
            {
                request.Deliver(ref e);
            }
            else if (e.Kind == EventKind.Connection)
            {
                Connection = new ConnectionChange(e.Connection, e.Text);
                ConnectionChanged?.Invoke(Connection);
            }
            else if (e.Kind == EventKind.Error && e.Request == 0)
            {
                EventsLost?.Invoke((int)e.DroppedEvents);
            }
        }

        // Registers the request that was just made. Called with the lock held, so that no event comes in between.
        private void Begin(PendingRequest request, ulong number)
        {
            if (number == 0)
            {
                throw new TownsfolkException(TownsfolkStatus.InvalidArgument, LastError());
            }
            request.Begin(this, number);
            pending.Add(number, request);
        }

        private static string LastError()
        {
            return NativeText.Read(NativeMethods.townsfolk_last_error());
        }
    }
}
