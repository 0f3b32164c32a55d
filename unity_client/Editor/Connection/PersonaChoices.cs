using System;
using System.Collections.Generic;
using UnityEditor;

namespace Townsfolk.EditorTools
{
    // The daemon's personas as last heard, asked for again now and then while somebody looks.
    internal static class PersonaChoices
    {
        private const double RefreshSeconds = 5;

        private static string[] ids = new string[0];
        private static double askedAt = double.NegativeInfinity;

        // Ids of the personas; empty as long as the daemon has not answered.
        public static IReadOnlyList<string> Ids
        {
            get
            {
                if (EditorApplication.timeSinceStartup - askedAt > RefreshSeconds)
                {
                    askedAt = EditorApplication.timeSinceStartup;
                    Ask();
                }
                return ids;
            }
        }

        private static async void Ask()
        {
            TownsfolkClient client = EditorTown.Listening;
            if (client == null)
            {
                return;
            }
            try
            {
                IReadOnlyList<Persona> personas = await client.ListPersonasAsync();
                string[] found = new string[personas.Count];
                for (int i = 0; i < found.Length; i++)
                {
                    found[i] = personas[i].Id;
                }
                ids = found;
            }
            catch (TownsfolkException)
            {
                // EditorTown.Status says what is wrong; the next look asks again
            }
            catch (OperationCanceledException)
            {
                // the connection was closed
            }
        }
    }
}
