using UnityEditor;
using UnityEngine;

namespace Townsfolk.EditorTools
{
    [CustomPropertyDrawer(typeof(PersonaIdAttribute))]
    internal sealed class PersonaIdDrawer : PropertyDrawer
    {
        public override void OnGUI(Rect position, SerializedProperty property, GUIContent label)
        {
            if (property.propertyType != SerializedPropertyType.String)
            {
                EditorGUI.LabelField(position, label, new GUIContent("[PersonaId] is for strings"));
                return;
            }
            EditorGUI.BeginProperty(position, label, property);
            EditorGUI.BeginChangeCheck();
            string chosen = PersonaField.Draw(position, label, property.stringValue);
            if (EditorGUI.EndChangeCheck())
            {
                property.stringValue = chosen;
            }
            EditorGUI.EndProperty();
        }
    }
}
