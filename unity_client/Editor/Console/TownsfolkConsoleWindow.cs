using System;
using System.Threading;
using UnityEditor;
using UnityEngine;

namespace Townsfolk.EditorTools
{
    // The daemon's developer console: npc.say, npc.stats, npc.reload and all that npc.help lists.
    internal sealed class TownsfolkConsoleWindow : EditorWindow
    {
        private const string InputName = "TownsfolkConsoleInput";
        private const string HistoryPreference = "Townsfolk.ConsoleHistory";

        private readonly ConsoleTranscript transcript = new ConsoleTranscript();
        private readonly ConsoleHistory history = new ConsoleHistory();
        private CancellationTokenSource running;
        private string line = "";
        private int cursorToSet = -1;
        private Vector2 scroll;

        [MenuItem("Window/Townsfolk/Console")]
        public static void Open()
        {
            GetWindow<TownsfolkConsoleWindow>("Townsfolk Console").minSize = new Vector2(360, 200);
        }

        private void OnEnable()
        {
            EditorTown.Changed += Repaint;
            foreach (string old in EditorPrefs.GetString(HistoryPreference, "").Split('\n'))
            {
                if (old.Length > 0)
                {
                    history.Add(old);
                }
            }
        }

        private void OnDisable()
        {
            EditorTown.Changed -= Repaint;
            EditorPrefs.SetString(HistoryPreference, string.Join("\n", history.Lines));
            running?.Cancel();
        }

        private void OnGUI()
        {
            HandleKeys();
            EditorGUILayout.BeginHorizontal(EditorStyles.toolbar);
            GUILayout.Label(EditorTown.Status, EditorStyles.miniLabel);
            GUILayout.FlexibleSpace();
            using (new EditorGUI.DisabledScope(running == null))
            {
                if (GUILayout.Button("Stop", EditorStyles.toolbarButton))
                {
                    running.Cancel();
                }
            }
            if (GUILayout.Button("Clear", EditorStyles.toolbarButton))
            {
                transcript.Clear();
            }
            EditorGUILayout.EndHorizontal();
            DrawTranscript();
            GUI.SetNextControlName(InputName);
            line = EditorGUILayout.TextField(line);
            PlaceCursor();
        }

        private void DrawTranscript()
        {
            GUIStyle style = new GUIStyle(EditorStyles.label) { richText = true, wordWrap = true };
            scroll = EditorGUILayout.BeginScrollView(scroll, GUILayout.ExpandHeight(true));
            foreach (string rich in transcript.RichLines)
            {
                GUILayout.Label(rich, style);
            }
            EditorGUILayout.EndScrollView();
        }

        private void HandleKeys()
        {
            Event key = Event.current;
            if (key.type != EventType.KeyDown || GUI.GetNameOfFocusedControl() != InputName)
            {
                return;
            }
            if (key.keyCode == KeyCode.Tab || key.character == '\t')
            {
                if (key.keyCode == KeyCode.Tab)
                {
                    Complete();
                }
            }
            else if (key.keyCode == KeyCode.UpArrow)
            {
                SetLine(history.Older(line), int.MaxValue);
            }
            else if (key.keyCode == KeyCode.DownArrow)
            {
                SetLine(history.Newer(line), int.MaxValue);
            }
            else if (key.keyCode == KeyCode.Return || key.keyCode == KeyCode.KeypadEnter)
            {
                Execute();
            }
            else
            {
                return;
            }
            key.Use();
        }

        private async void Execute()
        {
            string command = line.Trim();
            if (command.Length == 0)
            {
                return;
            }
            SetLine("", 0);
            history.Add(command);
            Print("> " + command + "\n", ConsoleStyle.Detail);
            TownsfolkClient client = EditorTown.Client;
            if (client == null)
            {
                Print(EditorTown.Problem + "\n", ConsoleStyle.Error);
                return;
            }
            running?.Cancel();
            CancellationTokenSource own = new CancellationTokenSource();
            running = own;
            bool complained = false;
            try
            {
                await client.ExecuteAsync(
                    command,
                    output =>
                    {
                        complained |= output.Style == ConsoleStyle.Error;
                        Print(output.Text, output.Style);
                    },
                    columns: Math.Max(20, (int)(position.width / 7)),
                    token: own.Token);
            }
            catch (TownsfolkException error)
            {
                if (!complained)
                {
                    Print(error.Message + "\n", ConsoleStyle.Error);
                }
            }
            catch (OperationCanceledException)
            {
                transcript.EndOpenLine();
                Print("stopped\n", ConsoleStyle.Detail);
            }
            transcript.EndOpenLine();
            if (running == own)
            {
                running = null;
            }
            Repaint();
        }

        private async void Complete()
        {
            TownsfolkClient client = EditorTown.Client;
            if (client == null)
            {
                return;
            }
            string asked = line;
            try
            {
                Completions completions = await client.CompleteAsync(asked, Cursor());
                if (line == asked && completions.Candidates.Count > 0)
                {
                    Take(completions);
                }
            }
            catch (TownsfolkException error)
            {
                Print(error.Message + "\n", ConsoleStyle.Error);
            }
            catch (OperationCanceledException)
            {
                // the connection was closed
            }
        }

        private void Take(Completions completions)
        {
            int cursor;
            string completed = TabCompletion.Apply(line, completions, out cursor);
            if (completed == line && completions.Candidates.Count > 1)
            {
                foreach (Completion candidate in completions.Candidates)
                {
                    Print("  " + candidate.Text, ConsoleStyle.Plain);
                    Print("  " + candidate.Description + "\n", ConsoleStyle.Detail);
                }
            }
            SetLine(completed, cursor);
        }

        private void Print(string text, ConsoleStyle style)
        {
            transcript.Append(text, style, EditorGUIUtility.isProSkin);
            scroll.y = float.MaxValue;
        }

        private static int Cursor()
        {
            return InputState().cursorIndex;
        }

        // A focused text field keeps its own copy of the text, so the field is told as well.
        private void SetLine(string text, int cursor)
        {
            line = text;
            cursorToSet = Math.Min(cursor, text.Length);
            InputState().text = text;
            Repaint();
        }

        private void PlaceCursor()
        {
            if (cursorToSet < 0 || Event.current.type != EventType.Repaint)
            {
                return;
            }
            TextEditor input = InputState();
            input.cursorIndex = cursorToSet;
            input.selectIndex = cursorToSet;
            cursorToSet = -1;
        }

        private static TextEditor InputState()
        {
            return (TextEditor)GUIUtility.GetStateObject(typeof(TextEditor), GUIUtility.keyboardControl);
        }
    }
}
