using System;
using System.IO;
using Townsfolk;
using UnityEngine;

// Keeps a shared conversation beside the game's own save: call Save and Load where the game saves and loads.
public class ConversationSave : MonoBehaviour
{
    public TownsfolkConversation conversation;
    public string fileName = "slot1.conversation";

    private string SavePath
    {
        get { return Path.Combine(Application.persistentDataPath, fileName); }
    }

    public async void Save()
    {
        try
        {
            byte[] state = await conversation.SaveAsync();
            string scratch = SavePath + ".new"; // a crash while writing leaves the old save whole
            File.WriteAllBytes(scratch, state);
            File.Delete(SavePath);
            File.Move(scratch, SavePath);
        }
        catch (Exception error)
        {
            Debug.LogError("The conversation was not saved: " + error.Message, this);
        }
    }

    public async void Load()
    {
        try
        {
            await conversation.RestoreAsync(File.ReadAllBytes(SavePath));
        }
        catch (Exception error)
        {
            // a damaged save changes nothing: the conversation goes on as it was
            Debug.LogError("The conversation was not loaded: " + error.Message, this);
        }
    }
}
