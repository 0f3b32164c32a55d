using Townsfolk;
using UnityEngine;
using UnityEngine.UI;

// Put it beside a TownsfolkNpc, give it a text to show the answer in, and call Ask from a button or an input field.
public class TalkingNpc : MonoBehaviour
{
    public Text answer;

    private void Start()
    {
        GetComponent<TownsfolkNpc>().OnSpeechDelta.AddListener(delta => answer.text += delta);
    }

    public void Ask(string question)
    {
        answer.text = "";
        GetComponent<TownsfolkNpc>().Say(question);
    }
}
