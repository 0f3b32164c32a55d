using System;
using System.Collections.Generic;
using UnityEditor;
using UnityEngine;

namespace Townsfolk.EditorTools
{
    // A persona's id: a choice while the daemon answers, else a text field.
    internal static class PersonaField
    {
        public static string Draw(GUIContent label, string personaId)
        {
            return Draw(EditorGUILayout.GetControlRect(), label, personaId);
        }

        public static string Draw(Rect place, GUIContent label, string personaId)
        {
            IReadOnlyList<string> ids = PersonaChoices.Ids;
            if (ids.Count == 0)
            {
                return EditorGUI.TextField(place, label, personaId);
            }
            GUIContent[] choices = Choices(ids, personaId);
            int chosen = EditorGUI.Popup(place, label, IndexOf(ids, personaId) + 1, choices);
            return chosen == 0 ? personaId : ids[chosen - 1];
        }

        // First what stands there if the daemon does not have it, so that looking at it does not change it.
        private static GUIContent[] Choices(IReadOnlyList<string> ids, string personaId)
        {
            bool known = personaId.Length == 0 || IndexOf(ids, personaId) >= 0;
            GUIContent[] choices = new GUIContent[ids.Count + 1];
            choices[0] = new GUIContent(known ? "none" : personaId + " (unknown to the daemon)");
            for (int i = 0; i < ids.Count; i++)
            {
                choices[i + 1] = new GUIContent(ids[i]);
            }
            return choices;
        }

        private static int IndexOf(IReadOnlyList<string> ids, string personaId)
        {
            for (int i = 0; i < ids.Count; i++)
            {
                if (string.Equals(ids[i], personaId, StringComparison.Ordinal))
                {
                    return i;
                }
            }
            return -1;
        }
    }
}
