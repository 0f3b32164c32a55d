// Declarations only; see README.md.
using System;
using UnityEngine;

namespace UnityEditor
{
    [AttributeUsage(AttributeTargets.Class)]
    public class InitializeOnLoadAttribute : Attribute { }

    [AttributeUsage(AttributeTargets.Method)]
    public sealed class MenuItem : Attribute
    {
        public MenuItem(string itemName) { }
    }

    [AttributeUsage(AttributeTargets.Class)]
    public sealed class CustomEditor : Attribute
    {
        public CustomEditor(Type inspectedType) { }
    }

    [AttributeUsage(AttributeTargets.Class)]
    public sealed class CustomPropertyDrawer : Attribute
    {
        public CustomPropertyDrawer(Type type) { }
    }

    [AttributeUsage(AttributeTargets.Method)]
    public class SettingsProviderAttribute : Attribute { }

    public enum PlayModeStateChange { EnteredEditMode, ExitingEditMode, EnteredPlayMode, ExitingPlayMode }

    public static class EditorApplication
    {
        public delegate void CallbackFunction();
        public static CallbackFunction update;
#pragma warning disable 67
        public static event Action quitting;
        public static event Action<PlayModeStateChange> playModeStateChanged;
#pragma warning restore 67
        public static double timeSinceStartup { get { return 0; } }
    }

    public static class AssemblyReloadEvents
    {
        public delegate void AssemblyReloadCallback();
#pragma warning disable 67
        public static event AssemblyReloadCallback beforeAssemblyReload;
#pragma warning restore 67
    }

    public class EditorWindow : ScriptableObject
    {
        public Vector2 minSize { get; set; }
        public Rect position { get; set; }
        public static T GetWindow<T>(string title) where T : EditorWindow { return null; }
        public void Repaint() { }
    }

    public class Editor : ScriptableObject
    {
        public UnityEngine.Object target { get; set; }
        public virtual void OnInspectorGUI() { }
        public bool DrawDefaultInspector() { return false; }
        public void Repaint() { }
    }

    public abstract class PropertyDrawer
    {
        public virtual void OnGUI(Rect position, SerializedProperty property, GUIContent label) { }
    }

    public enum SerializedPropertyType { Generic = -1, Integer = 0, Boolean = 1, Float = 2, String = 3 }

    public class SerializedProperty
    {
        public string name { get { return ""; } }
        public SerializedPropertyType propertyType { get { return SerializedPropertyType.String; } }
        public string stringValue { get; set; }
        public bool NextVisible(bool enterChildren) { return false; }
    }

    public class SerializedObject
    {
        public SerializedObject(UnityEngine.Object obj) { }
        public SerializedProperty GetIterator() { return null; }
        public bool ApplyModifiedProperties() { return false; }
    }

    public enum SettingsScope { User, Project }

    public class SettingsProvider
    {
        public SettingsProvider(string path, SettingsScope scopes) { }
        public string label { get; set; }
        public Action<string> guiHandler { get; set; }
        public System.Collections.Generic.IEnumerable<string> keywords { get; set; }
    }

    public static class AssetDatabase
    {
        public static void CreateAsset(UnityEngine.Object asset, string path) { }
        public static void SaveAssets() { }
    }

    public static class EditorPrefs
    {
        public static string GetString(string key, string defaultValue) { return defaultValue; }
        public static void SetString(string key, string value) { }
    }

    public enum MessageType { None, Info, Warning, Error }

    public static class EditorStyles
    {
        public static GUIStyle label { get { return null; } }
        public static GUIStyle miniLabel { get { return null; } }
        public static GUIStyle boldLabel { get { return null; } }
        public static GUIStyle wordWrappedLabel { get { return null; } }
        public static GUIStyle helpBox { get { return null; } }
        public static GUIStyle toolbar { get { return null; } }
        public static GUIStyle toolbarButton { get { return null; } }
    }

    public static class EditorGUIUtility
    {
        public static bool isProSkin { get { return true; } }
    }

    public static class EditorGUI
    {
        public struct DisabledScope : IDisposable
        {
            public DisabledScope(bool disabled) { }
            public void Dispose() { }
        }

        public static string TextField(Rect position, GUIContent label, string text) { return text; }
        public static int Popup(Rect position, GUIContent label, int selected, GUIContent[] options) { return selected; }
        public static void LabelField(Rect position, GUIContent label, GUIContent label2) { }
        public static GUIContent BeginProperty(Rect position, GUIContent label, SerializedProperty property) { return label; }
        public static void EndProperty() { }
        public static void BeginChangeCheck() { }
        public static bool EndChangeCheck() { return false; }
    }

    public static class EditorGUILayout
    {
        public static void LabelField(string label, params GUILayoutOption[] options) { }
        public static void LabelField(string label, GUIStyle style, params GUILayoutOption[] options) { }
        public static void LabelField(string label, string label2, GUIStyle style, params GUILayoutOption[] options) { }
        public static string TextField(string text, params GUILayoutOption[] options) { return text; }
        public static string TextField(string label, string text, params GUILayoutOption[] options) { return text; }
        public static string TextField(GUIContent label, string text, params GUILayoutOption[] options) { return text; }
        public static string DelayedTextField(string label, string text, params GUILayoutOption[] options) { return text; }
        public static string TextArea(string text, params GUILayoutOption[] options) { return text; }
        public static float Slider(string label, float value, float left, float right, params GUILayoutOption[] options) { return value; }
        public static int IntSlider(string label, int value, int left, int right, params GUILayoutOption[] options) { return value; }
        public static bool Toggle(string label, bool value, params GUILayoutOption[] options) { return value; }
        public static bool Toggle(GUIContent label, bool value, params GUILayoutOption[] options) { return value; }
        public static void HelpBox(string message, MessageType type) { }
        public static Vector2 BeginScrollView(Vector2 position, params GUILayoutOption[] options) { return position; }
        public static void EndScrollView() { }
        public static Rect BeginHorizontal(params GUILayoutOption[] options) { return new Rect(); }
        public static Rect BeginHorizontal(GUIStyle style, params GUILayoutOption[] options) { return new Rect(); }
        public static void EndHorizontal() { }
        public static Rect BeginVertical(GUIStyle style, params GUILayoutOption[] options) { return new Rect(); }
        public static void EndVertical() { }
        public static void Space() { }
        public static Rect GetControlRect(params GUILayoutOption[] options) { return new Rect(); }
        public static bool PropertyField(SerializedProperty property, bool includeChildren, params GUILayoutOption[] options) { return false; }
    }
}
