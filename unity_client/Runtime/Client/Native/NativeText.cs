using System;
using System.Runtime.InteropServices;
using System.Text;

namespace Townsfolk
{
    // Reads the library's texts, which are UTF-8.
    internal static unsafe class NativeText
    {
        public static string Read(IntPtr text)
        {
            byte* start = (byte*)text;
            if (start == null || *start == 0)
            {
                return "";
            }
            int length = 0;
            while (start[length] != 0)
            {
                length++;
            }
            return Encoding.UTF8.GetString(start, length);
        }

        public static string Read(IntPtr text, UIntPtr byteCount)
        {
            int length = checked((int)byteCount);
            return length == 0 ? "" : Encoding.UTF8.GetString((byte*)text, length);
        }

        public static byte[] ReadBytes(IntPtr bytes, UIntPtr byteCount)
        {
            byte[] copy = new byte[checked((int)byteCount)];
            if (copy.Length > 0)
            {
                Marshal.Copy(bytes, copy, 0, copy.Length);
            }
            return copy;
        }
    }
}
