using UnityEngine;

namespace Townsfolk
{
    /// <summary>Types an NPC's line at a reader's pace. Bind <see cref="OnText"/> to the text property of any component:
    /// UnityEngine.UI.Text, TextMesh Pro, a label of your own.</summary>
    [AddComponentMenu("Townsfolk/Townsfolk Subtitle")]
    public sealed class TownsfolkSubtitle : MonoBehaviour
    {
        [SerializeField]
        [Tooltip("Characters a second. 0: all at once.")]
        private float charactersPerSecond = 40;

        [SerializeField]
        [Tooltip("Go on typing while the game is paused (Time.timeScale 0).")]
        private bool unscaledTime = true;

        [SerializeField]
        [Tooltip("The visible text, whenever it changes.")]
        private TextEvent onText = new TextEvent();

        [SerializeField]
        [Tooltip("The whole line is visible: its text.")]
        private TextEvent onShown = new TextEvent();

        private readonly Typewriter typewriter = new Typewriter();

        /// <summary>Whether a line is still being typed. Default: false.</summary>
        public bool IsTyping { get; private set; }

        /// <summary>The visible text. Default: "".</summary>
        public string Text
        {
            get { return typewriter.Shown; }
        }

        /// <summary>The visible text, whenever it changes. No listeners by default.</summary>
        public TextEvent OnText
        {
            get { return onText; }
        }

        /// <summary>The whole line is visible. No listeners by default.</summary>
        public TextEvent OnShown
        {
            get { return onShown; }
        }

        /// <summary>Begins a new, empty line.</summary>
        public void Begin()
        {
            typewriter.Clear();
            IsTyping = true;
            onText.Invoke("");
        }

        /// <summary>More of the line.</summary>
        public void Append(string delta)
        {
            typewriter.Append(delta);
        }

        /// <summary>No more of the line will come; typing goes on to its end.</summary>
        public void End()
        {
            typewriter.Complete();
        }

        /// <summary>Shows at once what has come so far: for a key that hurries.</summary>
        public void Skip()
        {
            typewriter.ShowAll();
            onText.Invoke(typewriter.Shown);
        }

        /// <summary>Stops typing where it is. Returns how much was visible, in code points.</summary>
        public int Interrupt()
        {
            IsTyping = false;
            return typewriter.ShownCodePoints;
        }

        private void Update()
        {
            if (!IsTyping)
            {
                return;
            }
            typewriter.CharactersPerSecond = charactersPerSecond;
            if (typewriter.Advance(unscaledTime ? Time.unscaledDeltaTime : Time.deltaTime))
            {
                onText.Invoke(typewriter.Shown);
            }
            if (typewriter.IsDone)
            {
                IsTyping = false;
                onShown.Invoke(typewriter.Shown);
            }
        }
    }
}
