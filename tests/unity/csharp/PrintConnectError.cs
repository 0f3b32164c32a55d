// Connects and prints what goes wrong.
using System;
using Townsfolk;

internal static class PrintConnectError
{
    private static void Main()
    {
        try
        {
            TownsfolkClient.Connect().Dispose();
        }
        catch (TownsfolkException error)
        {
            Console.WriteLine(error.GetType().Name + ": " + error.Message);
        }
    }
}
