using System;
using System.Threading;
using UnityEditor;
using UnityEngine;

namespace Townsfolk.EditorTools
{
    // The NPC's fields, and a box to try it out in, without Play.
    [CustomEditor(typeof(TownsfolkNpc))]
    internal sealed class TownsfolkNpcEditor : Editor
    {
        private CancellationTokenSource running;
        private string text = "Who are you?";
        private string answer = "";
        private string problem;

        public override void OnInspectorGUI()
        {
            DrawDefaultInspector();
            EditorGUILayout.Space();
            EditorGUILayout.LabelField("Try it", EditorStyles.boldLabel);
            EditorGUILayout.LabelField("Daemon", EditorTown.Status, EditorStyles.miniLabel);
            text = EditorGUILayout.TextField("The player says", text);
            EditorGUILayout.BeginHorizontal();
            if (GUILayout.Button("Say"))
            {
                Say(((TownsfolkNpc)target).PersonaId);
            }
            using (new EditorGUI.DisabledScope(running == null))
            {
                if (GUILayout.Button("Stop"))
                {
                    running.Cancel();
                }
            }
            EditorGUILayout.EndHorizontal();
            if (answer.Length > 0)
            {
                GUILayout.Label(answer, EditorStyles.wordWrappedLabel);
            }
            if (!string.IsNullOrEmpty(problem))
            {
                EditorGUILayout.HelpBox(problem, MessageType.Error);
            }
        }

        private void OnEnable()
        {
            EditorTown.Changed += Repaint;
        }

        private void OnDisable()
        {
            EditorTown.Changed -= Repaint;
            running?.Cancel();
        }

        private async void Say(string personaId)
        {
            running?.Cancel();
            TownsfolkClient client = EditorTown.Client;
            answer = "";
            problem = EditorTown.Problem;
            if (client == null)
            {
                return;
            }
            CancellationTokenSource own = new CancellationTokenSource();
            running = own;
            try
            {
                await client.SayAsync(personaId, text, delta => Hear(own, delta), own.Token);
            }
            catch (TownsfolkException error)
            {
                problem = error.Message;
            }
            catch (OperationCanceledException)
            {
                // stopped, or the connection was closed
            }
            if (running == own)
            {
                running = null;
            }
            Repaint();
        }

        private void Hear(CancellationTokenSource line, string delta)
        {
            if (running == line)
            {
                answer += delta;
            }
        }
    }
}
