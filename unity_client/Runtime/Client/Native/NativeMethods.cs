using System;
using System.Runtime.InteropServices;

namespace Townsfolk
{
    // The functions of townsfolk_client.h. Texts travel as pointers to UTF-8 that NativeArena and NativeText make and
    // read: what LPStr means differs between runtimes.
    internal static class NativeMethods
    {
        public const uint AbiVersion = 1;

        private const string Library = "townsfolk_client";
        private const CallingConvention Cdecl = CallingConvention.Cdecl;

        [DllImport(Library, CallingConvention = Cdecl)]
        public static extern uint townsfolk_abi_version();

        [DllImport(Library, CallingConvention = Cdecl)]
        public static extern IntPtr townsfolk_version();

        [DllImport(Library, CallingConvention = Cdecl)]
        public static extern int townsfolk_connect(ref NativeOptions options, out IntPtr client);

        [DllImport(Library, CallingConvention = Cdecl)]
        public static extern void townsfolk_close(IntPtr client);

        [DllImport(Library, CallingConvention = Cdecl)]
        public static extern IntPtr townsfolk_poll(ClientHandle client);

        [DllImport(Library, CallingConvention = Cdecl)]
        public static extern IntPtr townsfolk_last_error();

        [DllImport(Library, CallingConvention = Cdecl)]
        public static extern ulong townsfolk_list_personas(ClientHandle client);

        [DllImport(Library, CallingConvention = Cdecl)]
        public static extern ulong townsfolk_open_session(ClientHandle client, ref NativeSessionOptions options);

        [DllImport(Library, CallingConvention = Cdecl)]
        public static extern ulong townsfolk_close_session(ClientHandle client, IntPtr sessionId);

        [DllImport(Library, CallingConvention = Cdecl)]
        public static extern ulong townsfolk_save_session(ClientHandle client, IntPtr sessionId);

        [DllImport(Library, CallingConvention = Cdecl)]
        public static extern ulong townsfolk_restore_session(
            ClientHandle client, IntPtr bytes, UIntPtr byteCount, IntPtr sessionId);

        [DllImport(Library, CallingConvention = Cdecl)]
        public static extern ulong townsfolk_fork_session(ClientHandle client, IntPtr sessionId, IntPtr newSessionId);

        [DllImport(Library, CallingConvention = Cdecl)]
        public static extern ulong townsfolk_say(ClientHandle client, ref NativeSayOptions options);

        [DllImport(Library, CallingConvention = Cdecl)]
        public static extern ulong townsfolk_scene_open(ClientHandle client);

        [DllImport(Library, CallingConvention = Cdecl)]
        public static extern ulong townsfolk_scene_say(ClientHandle client, ulong scene, ref NativeSayOptions options);

        [DllImport(Library, CallingConvention = Cdecl)]
        public static extern int townsfolk_scene_close(ClientHandle client, ulong scene);

        [DllImport(Library, CallingConvention = Cdecl)]
        public static extern int townsfolk_cancel(ClientHandle client, ulong request);

        [DllImport(Library, CallingConvention = Cdecl)]
        public static extern ulong townsfolk_heard(ClientHandle client, IntPtr turnId, uint characters);

        [DllImport(Library, CallingConvention = Cdecl)]
        public static extern ulong townsfolk_compare(ClientHandle client, ref NativeCompareOptions options);

        [DllImport(Library, CallingConvention = Cdecl)]
        public static extern ulong townsfolk_console_execute(
            ClientHandle client, IntPtr line, IntPtr sessionId, uint columns);

        [DllImport(Library, CallingConvention = Cdecl)]
        public static extern ulong townsfolk_console_complete(
            ClientHandle client, IntPtr line, int cursor, IntPtr sessionId);

        [DllImport(Library, CallingConvention = Cdecl)]
        public static extern ulong townsfolk_compose(ClientHandle client, ref NativeComposeOptions options);

        [DllImport(Library, CallingConvention = Cdecl)]
        public static extern ulong townsfolk_get_stats(ClientHandle client);
    }
}
