using System;
using System.Runtime.InteropServices;

namespace Townsfolk
{
    // Owns a townsfolk_client. Should nobody close it, its finalizer does: townsfolk_close waits for no managed thread,
    // takes no managed lock and returns within 100 ms, so a domain that unloads is never held up by it.
    internal sealed class ClientHandle : SafeHandle
    {
        public ClientHandle(IntPtr client) : base(IntPtr.Zero, true)
        {
            SetHandle(client);
        }

        public override bool IsInvalid
        {
            get { return handle == IntPtr.Zero; }
        }

        protected override bool ReleaseHandle()
        {
            NativeMethods.townsfolk_close(handle);
            return true;
        }
    }
}
