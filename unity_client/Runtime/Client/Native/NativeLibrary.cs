using System;

namespace Townsfolk
{
    // Whether the shared library is there and is the one this package was written for.
    internal static class NativeLibrary
    {
        private const string Folder = "Packages/com.townsfolk.client/Runtime/Plugins/x86_64";

        public static void Check()
        {
            uint found;
            try
            {
                found = NativeMethods.townsfolk_abi_version();
            }
            catch (DllNotFoundException error)
            {
                throw new TownsfolkLibraryException(
                    "The native library townsfolk_client was not found. Copy it (libtownsfolk_client.so on Linux, "
                    + "townsfolk_client.dll on Windows, libtownsfolk_client.dylib on macOS) from a Townsfolk release "
                    + "into " + Folder + " or Assets/Plugins/x86_64, then start Unity again.",
                    error);
            }
            catch (EntryPointNotFoundException error)
            {
                throw new TownsfolkLibraryException(
                    "The native library townsfolk_client is not one of Townsfolk's: it has no townsfolk_abi_version. "
                    + "Replace it with the one of the release that this package came with.",
                    error);
            }
            catch (BadImageFormatException error)
            {
                throw new TownsfolkLibraryException(
                    "The native library townsfolk_client is built for another processor. Townsfolk needs a 64-bit "
                    + "library of the same architecture as the player or editor.",
                    error);
            }
            if (found != NativeMethods.AbiVersion)
            {
                throw new TownsfolkLibraryException(
                    "The native library townsfolk_client has interface version " + found + ", but this package needs "
                    + NativeMethods.AbiVersion + ". Use package and library of the same Townsfolk release.",
                    null);
            }
            if (IntPtr.Size != 8)
            {
                throw new TownsfolkLibraryException("Townsfolk needs a 64-bit player or editor.", null);
            }
        }
    }
}
