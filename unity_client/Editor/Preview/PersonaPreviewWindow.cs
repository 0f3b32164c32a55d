using System.Collections.Generic;
using System.Globalization;
using System.IO;
using UnityEditor;
using UnityEngine;

namespace Townsfolk.EditorTools
{
    // Hear one line as the base model, the prompt alone and the whole persona would speak it.
    internal sealed class PersonaPreviewWindow : EditorWindow
    {
        private const string FolderPreference = "Townsfolk.PersonasFolder";
        private const double LookEverySeconds = 1;

        [SerializeField] private string personaId = "";
        [SerializeField] private string text = "Good evening. What keeps you up so late?";
        [SerializeField] private float adapterScale = 1;
        [SerializeField] private string seed = "1";
        [SerializeField] private bool ownSampling = true;
        [SerializeField] private float temperature = 0.7f;
        [SerializeField] private float topP = 0.95f;
        [SerializeField] private int maxTokens = 80;
        [SerializeField] private bool shading = true;
        [SerializeField] private bool reloadOnChange = true;
        [SerializeField] private Vector2 scroll;

        private readonly PersonaFiles files = new PersonaFiles();
        private PreviewRun run;
        private string problem;
        private double lookedAt;

        [MenuItem("Window/Townsfolk/Persona Preview")]
        public static void Open()
        {
            GetWindow<PersonaPreviewWindow>("Persona Preview").minSize = new Vector2(520, 320);
        }

        private void OnEnable()
        {
            EditorTown.Changed += Repaint;
            EditorApplication.update += LookForChanges;
        }

        private void OnDisable()
        {
            EditorTown.Changed -= Repaint;
            EditorApplication.update -= LookForChanges;
            run?.Cancel();
        }

        private void OnGUI()
        {
            EditorGUILayout.LabelField("Daemon", EditorTown.Status, EditorStyles.miniLabel);
            personaId = PersonaField.Draw(new GUIContent("Persona"), personaId);
            EditorGUILayout.LabelField("The player says");
            text = EditorGUILayout.TextArea(text, GUILayout.MinHeight(36));
            DrawSettings();
            DrawButtons();
            if (!string.IsNullOrEmpty(problem))
            {
                EditorGUILayout.HelpBox(problem, MessageType.Error);
            }
            scroll = EditorGUILayout.BeginScrollView(scroll);
            EditorGUILayout.BeginHorizontal();
            if (run != null)
            {
                foreach (PreviewColumn column in run.Columns)
                {
                    DrawColumn(column);
                }
            }
            EditorGUILayout.EndHorizontal();
            EditorGUILayout.EndScrollView();
        }

        private void DrawSettings()
        {
            adapterScale = EditorGUILayout.Slider("Adapter scale", adapterScale, 0, 2);
            seed = EditorGUILayout.TextField(new GUIContent("Seed", "Empty: a fresh one every time."), seed);
            ownSampling = EditorGUILayout.Toggle("Persona's own sampling", ownSampling);
            using (new EditorGUI.DisabledScope(ownSampling))
            {
                temperature = EditorGUILayout.Slider("Temperature", temperature, 0, 4);
                topP = EditorGUILayout.Slider("Top-p", topP, 0.01f, 1);
                maxTokens = EditorGUILayout.IntSlider("Max tokens", maxTokens, 1, 512);
            }
            shading = EditorGUILayout.Toggle(
                new GUIContent("Shade by probability", "Doubtful tokens are red."), shading);
            reloadOnChange = EditorGUILayout.Toggle(
                new GUIContent("Reload on change", "Read the persona again and speak the line anew when its files change."),
                reloadOnChange);
            using (new EditorGUI.DisabledScope(!reloadOnChange))
            {
                string folder = PersonasFolder;
                string chosen = EditorGUILayout.DelayedTextField("Personas folder", folder);
                if (chosen != folder)
                {
                    EditorPrefs.SetString(FolderPreference, chosen);
                }
                if (reloadOnChange && personaId.Length > 0 && !Directory.Exists(Path.Combine(folder, personaId)))
                {
                    EditorGUILayout.HelpBox(
                        "There is no folder " + personaId + " there, so changes are not noticed.", MessageType.Info);
                }
            }
        }

        private void DrawButtons()
        {
            EditorGUILayout.BeginHorizontal();
            bool running = run != null && run.IsRunning;
            using (new EditorGUI.DisabledScope(personaId.Length == 0 || text.Length == 0))
            {
                if (GUILayout.Button(running ? "Again" : "Speak"))
                {
                    Speak();
                }
            }
            using (new EditorGUI.DisabledScope(!running))
            {
                if (GUILayout.Button("Stop"))
                {
                    run.Cancel();
                }
            }
            using (new EditorGUI.DisabledScope(personaId.Length == 0))
            {
                if (GUILayout.Button("Reload persona"))
                {
                    ReloadAndSpeak();
                }
            }
            EditorGUILayout.EndHorizontal();
        }

        private void DrawColumn(PreviewColumn column)
        {
            EditorGUILayout.BeginVertical(EditorStyles.helpBox, GUILayout.MinWidth(150));
            EditorGUILayout.LabelField(column.Title, EditorStyles.boldLabel);
            GUIStyle style = new GUIStyle(EditorStyles.wordWrappedLabel) { richText = shading };
            bool shaded = shading && column.Tokens.Count > 0;
            GUILayout.Label(shaded ? Shaded(column) : column.Text, style);
            if (column.Error != null)
            {
                EditorGUILayout.HelpBox(column.Error, MessageType.Error);
            }
            if (column.Line != null)
            {
                GUILayout.Label(Figures(column), EditorStyles.miniLabel);
            }
            EditorGUILayout.EndVertical();
        }

        private static string Shaded(PreviewColumn column)
        {
            bool dark = EditorGUIUtility.isProSkin;
            Rgb sure = dark ? new Rgb(0.85, 0.85, 0.85) : new Rgb(0.1, 0.1, 0.1);
            Rgb doubtful = dark ? new Rgb(1, 0.35, 0.3) : new Rgb(0.85, 0.1, 0.05);
            List<ShadedSpan> spans = ShadedSpan.Of(column.Tokens);
            return ShadedSpan.RichText(spans, sure, doubtful);
        }

        private static string Figures(PreviewColumn column)
        {
            TurnStats stats = column.Line.Stats;
            return string.Format(
                CultureInfo.InvariantCulture,
                "{0:0} ms to the first token · {1:0.0} tokens/s · {2} tokens{3}",
                stats.TimeToFirstTokenSeconds * 1000,
                stats.TokensPerSecond,
                stats.CompletionTokens,
                column.AdapterApplied ? " · adapter" : "");
        }

        private async void Speak()
        {
            run?.Cancel();
            TownsfolkClient client = EditorTown.Client;
            problem = EditorTown.Problem;
            ulong? number;
            if (client == null || !ReadSeed(out number))
            {
                return;
            }
            PreviewRun own = new PreviewRun();
            run = own;
            await own.RunAsync(client, Input(number));
            if (run == own)
            {
                problem = own.Error;
                Repaint();
            }
        }

        private async void ReloadAndSpeak()
        {
            TownsfolkClient client = EditorTown.Client;
            if (client == null)
            {
                problem = EditorTown.Problem;
                return;
            }
            problem = await Reloading.ReloadAsync(client, personaId);
            if (problem == null && text.Length > 0)
            {
                Speak();
            }
            Repaint();
        }

        private void LookForChanges()
        {
            if (!reloadOnChange || personaId.Length == 0
                || EditorApplication.timeSinceStartup - lookedAt < LookEverySeconds)
            {
                return;
            }
            lookedAt = EditorApplication.timeSinceStartup;
            if (files.HaveChanged(Path.Combine(PersonasFolder, personaId)))
            {
                ReloadAndSpeak();
            }
        }

        private PreviewInput Input(ulong? number)
        {
            Sampling sampling = new Sampling { Seed = number };
            if (!ownSampling)
            {
                sampling.Temperature = temperature;
                sampling.TopP = topP;
                sampling.MaxTokens = maxTokens;
            }
            return new PreviewInput
            {
                PersonaId = personaId,
                Text = text,
                AdapterScale = adapterScale,
                Sampling = sampling,
                TopTokens = shading ? 5 : 0
            };
        }

        private bool ReadSeed(out ulong? number)
        {
            number = null;
            ulong parsed;
            if (seed.Trim().Length == 0)
            {
                return true;
            }
            if (!ulong.TryParse(seed, NumberStyles.Integer, CultureInfo.InvariantCulture, out parsed))
            {
                problem = "The seed must be a number from 0 to 18446744073709551615, or empty.";
                return false;
            }
            number = parsed;
            return true;
        }

        private static string PersonasFolder
        {
            get
            {
                string launchFolder = TownsfolkSettings.Load().LaunchFolder;
                string fallback = Path.Combine(launchFolder.Length > 0 ? launchFolder : ".", "personas");
                return EditorPrefs.GetString(FolderPreference, Path.GetFullPath(fallback));
            }
        }
    }
}
