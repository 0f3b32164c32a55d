using System;
using System.IO;

namespace Townsfolk.EditorTools
{
    // Notices that a persona's files were changed, added or removed.
    internal sealed class PersonaFiles
    {
        private string watched;
        private long stamp;

        // Whether they have changed since the last call with this folder. False for the first one, and without a folder.
        public bool HaveChanged(string personaFolder)
        {
            long now = Stamp(personaFolder);
            bool changed = watched == personaFolder && stamp != now;
            watched = personaFolder;
            stamp = now;
            return changed;
        }

        private static long Stamp(string folder)
        {
            long sum = 0;
            try
            {
                foreach (string path in Directory.GetFiles(folder, "*", SearchOption.AllDirectories))
                {
                    FileInfo file = new FileInfo(path);
                    unchecked
                    {
                        sum += file.LastWriteTimeUtc.Ticks * 31 + file.Length + path.GetHashCode();
                    }
                }
            }
            catch (SystemException error)
            {
                if (!(error is IOException || error is UnauthorizedAccessException || error is ArgumentException))
                {
                    throw;
                }
            }
            return sum;
        }
    }
}
