using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Text;

namespace Townsfolk
{
    // Unmanaged memory for the arguments of one call; the library copies what it keeps.
    internal sealed unsafe class NativeArena : IDisposable
    {
        private readonly List<IntPtr> blocks = new List<IntPtr>();

        // The text as UTF-8 ending in NUL; null stays null ("not given").
        public IntPtr Text(string text, string name)
        {
            if (text == null)
            {
                return IntPtr.Zero;
            }
            if (text.IndexOf('\0') >= 0)
            {
                throw new ArgumentException("A text must not contain the character U+0000.", name);
            }
            int length = Encoding.UTF8.GetByteCount(text);
            byte* memory = (byte*)Allocate(length + 1);
            if (length > 0)
            {
                fixed (char* characters = text)
                {
                    Encoding.UTF8.GetBytes(characters, text.Length, memory, length);
                }
            }
            memory[length] = 0;
            return (IntPtr)memory;
        }

        // The same, but an empty text counts as not given: what the Inspector leaves empty.
        public IntPtr OptionalText(string text, string name)
        {
            return string.IsNullOrEmpty(text) ? IntPtr.Zero : Text(text, name);
        }

        public IntPtr Bytes(byte[] bytes)
        {
            IntPtr memory = Allocate(Math.Max(bytes.Length, 1));
            Marshal.Copy(bytes, 0, memory, bytes.Length);
            return memory;
        }

        public IntPtr Texts(IList<string> texts, string name)
        {
            IntPtr* memory = (IntPtr*)Allocate(Math.Max(texts.Count, 1) * IntPtr.Size);
            for (int i = 0; i < texts.Count; i++)
            {
                memory[i] = Text(texts[i], name);
            }
            return (IntPtr)memory;
        }

        // An array of pointers to the variants, as townsfolk_compare_options wants it.
        public IntPtr Variants(IList<NativeVariant> variants)
        {
            IntPtr* pointers = (IntPtr*)Allocate(Math.Max(variants.Count, 1) * IntPtr.Size);
            for (int i = 0; i < variants.Count; i++)
            {
                NativeVariant* variant = (NativeVariant*)Allocate(sizeof(NativeVariant));
                *variant = variants[i];
                pointers[i] = (IntPtr)variant;
            }
            return (IntPtr)pointers;
        }

        public IntPtr StoryConcept(StoryConcept concept)
        {
            NativeStoryConcept* memory = (NativeStoryConcept*)Allocate(sizeof(NativeStoryConcept));
            memory->Title = OptionalText(concept.Title, "Concept.Title");
            memory->Hero = OptionalText(concept.Hero, "Concept.Hero");
            memory->Conflict = OptionalText(concept.Conflict, "Concept.Conflict");
            memory->Place = OptionalText(concept.Place, "Concept.Place");
            return (IntPtr)memory;
        }

        public void Dispose()
        {
            foreach (IntPtr block in blocks)
            {
                Marshal.FreeHGlobal(block);
            }
            blocks.Clear();
        }

        private IntPtr Allocate(int byteCount)
        {
            IntPtr memory = Marshal.AllocHGlobal(byteCount);
            blocks.Add(memory);
            return memory;
        }
    }
}
