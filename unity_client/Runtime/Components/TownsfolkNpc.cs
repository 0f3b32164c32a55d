using System;
using System.Threading.Tasks;
using UnityEngine;

namespace Townsfolk
{
    /// <summary>A character that talks. Call <see cref="Say(string)"/> with what the player says; its events bring the answer.
    /// </summary>
    [AddComponentMenu("Townsfolk/Townsfolk NPC")]
    public sealed class TownsfolkNpc : MonoBehaviour
    {
        [SerializeField]
        [PersonaId]
        [Tooltip("Who it is: a persona of the daemon.")]
        private string personaId = "";

        [SerializeField]
        [Tooltip("Remember what was said. Off: every line stands alone.")]
        private bool remembers = true;

        [SerializeField]
        [Tooltip("A conversation shared with other NPCs. Empty: one of its own.")]
        private TownsfolkConversation sharedConversation;

        [SerializeField]
        [Tooltip("What it calls the player, in a conversation of its own. Empty: it does not know.")]
        private string playerName = "";

        [SerializeField]
        [Tooltip("Seconds after which it speaks a fallback line instead. 0: only the settings' own limit.")]
        private float deadlineSeconds;

        [SerializeField]
        [Tooltip("Also decide on its emotion and perhaps an action after each line: On Emotion, On Action.")]
        private bool withCues;

        [SerializeField]
        [Tooltip("Where its lines are shown. It knows how much was read when the NPC is interrupted.")]
        private TownsfolkSubtitle subtitle;

        [SerializeField]
        [Tooltip("More of the line: text to append.")]
        private TextEvent onSpeechDelta = new TextEvent();

        [SerializeField]
        [Tooltip("The line has come to its end: the whole text.")]
        private TextEvent onLineFinished = new TextEvent();

        [SerializeField]
        [Tooltip("It shows an emotion from now on.")]
        private TextEvent onEmotion = new TextEvent();

        [SerializeField]
        [Tooltip("It does something: the action's name and its arguments as JSON.")]
        private ActionEvent onAction = new ActionEvent();

        [SerializeField]
        [Tooltip("The line failed: why, for a developer to read.")]
        private TextEvent onFailed = new TextEvent();

        [SerializeField]
        [Tooltip("It was interrupted: what it remembers of its line.")]
        private TextEvent onInterrupted = new TextEvent();

        private Conversation ownConversation;
        private Speaker speaker;
        private TownsfolkClient speakerClient;
        private int receivedCodePoints;
        private int lineNumber;

        /// <summary>Who it is. Setting it starts anew. Default: "".</summary>
        public string PersonaId
        {
            get { return personaId; }
            set
            {
                personaId = value;
                ownConversation = null;
                speaker = null;
            }
        }

        /// <summary>Whether a line is on its way. Default: false.</summary>
        public bool IsSpeaking
        {
            get { return speaker != null && speaker.IsSpeaking; }
        }

        /// <summary>The conversation it speaks in. Default: null before its first line, or if it remembers nothing.</summary>
        public Conversation Conversation
        {
            get { return sharedConversation != null ? sharedConversation.Conversation : ownConversation; }
        }

        /// <summary>More of the line: text to append. No listeners by default.</summary>
        public TextEvent OnSpeechDelta
        {
            get { return onSpeechDelta; }
        }

        /// <summary>The line has come to its end: the whole text. No listeners by default.</summary>
        public TextEvent OnLineFinished
        {
            get { return onLineFinished; }
        }

        /// <summary>It shows an emotion from now on. No listeners by default.</summary>
        public TextEvent OnEmotion
        {
            get { return onEmotion; }
        }

        /// <summary>It does something: the action's name and arguments. No listeners by default.</summary>
        public ActionEvent OnAction
        {
            get { return onAction; }
        }

        /// <summary>The line failed: why. No listeners by default.</summary>
        public TextEvent OnFailed
        {
            get { return onFailed; }
        }

        /// <summary>It was interrupted: what it remembers of its line. No listeners by default.</summary>
        public TextEvent OnInterrupted
        {
            get { return onInterrupted; }
        }

        /// <summary>Says this to the NPC, which answers through its events. Interrupts the line before.</summary>
        public async void Say(string text)
        {
            try
            {
                await SayAsync(
                    new SayRequest { Text = text, DeadlineSeconds = deadlineSeconds, WithCues = withCues });
            }
            catch (OperationCanceledException)
            {
                // interrupted, or the game quits
            }
            catch (TownsfolkException)
            {
                // told by OnFailed
            }
        }

        /// <summary>The same for code that wants the line itself, or a situation, sampling and priority. The events come
        /// too.</summary>
        public async Task<SpokenLine> SayAsync(SayRequest request)
        {
            Speaker current = Prepare();
            if (current == null)
            {
                const string reason = "There is no connection to a Townsfolk daemon; the log says why.";
                onFailed.Invoke(reason);
                throw new TownsfolkException(TownsfolkStatus.Unavailable, reason);
            }
            Interrupt();
            int own = ++lineNumber;
            receivedCodePoints = 0;
            if (subtitle != null)
            {
                subtitle.Begin();
            }
            try
            {
                SpokenLine line = await current.SayAsync(request, HandlerOf(own));
                EndSubtitle(own);
                onLineFinished.Invoke(line.Text);
                return line;
            }
            catch (TownsfolkException error)
            {
                EndSubtitle(own);
                onFailed.Invoke(error.Message);
                throw;
            }
        }

        /// <summary>Stops its line at once. It remembers only what the subtitle has shown; without a subtitle, what has come.
        /// </summary>
        public async void Interrupt()
        {
            Speaker current = speaker;
            bool typing = subtitle != null && subtitle.IsTyping;
            if (current == null || (!current.IsSpeaking && !typing))
            {
                return;
            }
            int heard = subtitle != null ? subtitle.Interrupt() : receivedCodePoints;
            lineNumber++;
            try
            {
                string kept = await current.InterruptAsync(heard);
                onInterrupted.Invoke(kept);
            }
            catch (OperationCanceledException)
            {
                // the game quits
            }
            catch (TownsfolkException error)
            {
                Debug.LogWarning("Townsfolk could not tell how much was heard: " + error.Message, this);
            }
        }

        private void OnDisable()
        {
            Interrupt();
        }

        // The speaker on the current connection; a new connection means a new one.
        private Speaker Prepare()
        {
            TownsfolkDaemon daemon = TownsfolkDaemon.Instance;
            TownsfolkClient client = daemon != null ? daemon.Client : null;
            if (client == null || (speaker != null && speakerClient == client))
            {
                return client == null ? null : speaker;
            }
            if (sharedConversation == null)
            {
                ownConversation = remembers ? new Conversation(client, new[] { personaId }, playerName) : null;
            }
            speakerClient = client;
            speaker = new Speaker(client, Conversation, personaId);
            return speaker;
        }

        private LineHandler HandlerOf(int line)
        {
            return new LineHandler
            {
                Speech = delta => Hear(line, delta.Text),
                Emotion = onEmotion.Invoke,
                Action = action => onAction.Invoke(action.Name, action.ArgumentsJson)
            };
        }

        // What an interrupted line still brings is not heard any more.
        private void Hear(int line, string text)
        {
            if (line != lineNumber)
            {
                return;
            }
            receivedCodePoints += CodePoints.Count(text);
            if (subtitle != null)
            {
                subtitle.Append(text);
            }
            onSpeechDelta.Invoke(text);
        }

        private void EndSubtitle(int line)
        {
            if (line == lineNumber && subtitle != null)
            {
                subtitle.End();
            }
        }
    }
}
