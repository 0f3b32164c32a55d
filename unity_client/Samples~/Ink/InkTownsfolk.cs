#if TOWNSFOLK_INK
using System.Collections.Generic;
using Ink.Runtime;
using Townsfolk;
using UnityEngine;

// In an ink story: EXTERNAL npc_say(persona, line) and then ~ npc_say("dwarf_smith", "Do you sell rope?").
// An external function must answer at once, so it only begins the line; IsSpeaking tells the game to wait before it
// continues the story, and the ink variable npc_line then holds what was said.
public class InkTownsfolk : MonoBehaviour
{
    public List<TownsfolkNpc> npcs = new List<TownsfolkNpc>();

    private Story story;
    private TownsfolkNpc speaking;

    // Continue the story when this is false.
    public bool IsSpeaking
    {
        get { return speaking != null && speaking.IsSpeaking; }
    }

    // The story needs VAR npc_line = "".
    public void Bind(Story newStory)
    {
        story = newStory;
        // not safe to look ahead: the NPC would speak before its time
        story.BindExternalFunction("npc_say", (string persona, string line) => Say(persona, line), false);
        foreach (TownsfolkNpc npc in npcs)
        {
            npc.OnLineFinished.AddListener(Keep);
        }
    }

    private void Say(string persona, string line)
    {
        speaking = npcs.Find(npc => npc.PersonaId == persona);
        if (speaking == null)
        {
            Debug.LogError("The story asks for " + persona + ", but no such NPC is in the list.", this);
            return;
        }
        speaking.Say(line);
    }

    private void Keep(string line)
    {
        story.variablesState["npc_line"] = line;
    }
}
#endif
