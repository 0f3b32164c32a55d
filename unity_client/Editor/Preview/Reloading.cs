using System;
using System.Text;
using System.Threading.Tasks;

namespace Townsfolk.EditorTools
{
    // Has the daemon read a persona's files again.
    internal static class Reloading
    {
        // Null if it went well, else what is wrong with the files.
        public static async Task<string> ReloadAsync(TownsfolkClient client, string personaId)
        {
            StringBuilder complaints = new StringBuilder();
            try
            {
                await client.ExecuteAsync("npc.reload " + personaId, output => Collect(output, complaints));
                return null;
            }
            catch (TownsfolkException error)
            {
                string told = complaints.ToString().Trim();
                return told.Length > 0 ? told : error.Message;
            }
            catch (OperationCanceledException)
            {
                return "the connection was closed";
            }
        }

        private static void Collect(ConsoleOutput output, StringBuilder complaints)
        {
            if (output.Style == ConsoleStyle.Error)
            {
                complaints.Append(output.Text);
            }
        }
    }
}
