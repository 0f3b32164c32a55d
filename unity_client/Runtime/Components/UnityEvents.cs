using System;
using UnityEngine.Events;

namespace Townsfolk
{
    /// <summary>An event that carries a text.</summary>
    [Serializable]
    public sealed class TextEvent : UnityEvent<string>
    {
    }

    /// <summary>An event that carries an action's name and its arguments as JSON.</summary>
    [Serializable]
    public sealed class ActionEvent : UnityEvent<string, string>
    {
    }
}
