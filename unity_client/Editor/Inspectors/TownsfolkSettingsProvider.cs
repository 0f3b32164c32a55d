using System.IO;
using UnityEditor;
using UnityEngine;

namespace Townsfolk.EditorTools
{
    // Project Settings › Townsfolk: the settings asset, made on request.
    internal static class TownsfolkSettingsProvider
    {
        private const string Folder = "Assets/Resources";
        private const string AssetPath = Folder + "/" + TownsfolkSettings.ResourceName + ".asset";

        [SettingsProvider]
        public static SettingsProvider Create()
        {
            return new SettingsProvider("Project/Townsfolk", SettingsScope.Project)
            {
                label = "Townsfolk",
                guiHandler = search => Draw(),
                keywords = new[] { "townsfolk", "npc", "dialogue", "daemon", "persona" }
            };
        }

        private static void Draw()
        {
            TownsfolkSettings settings = Resources.Load<TownsfolkSettings>(TownsfolkSettings.ResourceName);
            if (settings == null)
            {
                EditorGUILayout.HelpBox(
                    "This project uses the defaults: the daemon of this machine, started if none runs.", MessageType.Info);
                if (GUILayout.Button("Create " + AssetPath))
                {
                    Directory.CreateDirectory(Folder);
                    AssetDatabase.CreateAsset(ScriptableObject.CreateInstance<TownsfolkSettings>(), AssetPath);
                    AssetDatabase.SaveAssets();
                }
                return;
            }
            SerializedObject fields = new SerializedObject(settings);
            SerializedProperty field = fields.GetIterator();
            for (bool children = true; field.NextVisible(children); children = false)
            {
                if (field.name != "m_Script")
                {
                    EditorGUILayout.PropertyField(field, true);
                }
            }
            if (fields.ApplyModifiedProperties())
            {
                EditorTown.Close(); // the next use connects as the settings now say
            }
            EditorGUILayout.LabelField("Daemon", EditorTown.Status, EditorStyles.miniLabel);
            if (GUILayout.Button("Connect anew"))
            {
                EditorTown.Close();
                if (EditorTown.Client == null)
                {
                    Debug.LogError(EditorTown.Problem);
                }
            }
        }
    }
}
