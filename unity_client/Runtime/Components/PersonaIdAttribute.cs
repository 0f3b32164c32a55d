using UnityEngine;

namespace Townsfolk
{
    /// <summary>Shows a string field as a choice among the daemon's personas.</summary>
    public sealed class PersonaIdAttribute : PropertyAttribute
    {
    }
}
