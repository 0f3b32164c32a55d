#if TOWNSFOLK_YARN
using System.Collections;
using Townsfolk;
using UnityEngine;
using Yarn.Unity;

// In a Yarn script: <<npc_say Borrin "Do you sell rope?">>, where Borrin is a game object with a TownsfolkNpc and this
// component. The dialogue goes on when the NPC has spoken.
[RequireComponent(typeof(TownsfolkNpc))]
public class YarnTownsfolk : MonoBehaviour
{
    private bool ended;

    [YarnCommand("npc_say")]
    public IEnumerator Say(string text)
    {
        TownsfolkNpc npc = GetComponent<TownsfolkNpc>();
        ended = false;
        npc.OnLineFinished.AddListener(End);
        npc.OnFailed.AddListener(End);
        npc.OnInterrupted.AddListener(End);
        npc.Say(text);
        while (!ended)
        {
            yield return null;
        }
        npc.OnLineFinished.RemoveListener(End);
        npc.OnFailed.RemoveListener(End);
        npc.OnInterrupted.RemoveListener(End);
    }

    private void End(string text)
    {
        ended = true;
    }
}
#endif
