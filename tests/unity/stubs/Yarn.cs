// Declarations only; see README.md.
using System;

namespace Yarn.Unity
{
    [AttributeUsage(AttributeTargets.Method)]
    public class YarnCommandAttribute : Attribute
    {
        public YarnCommandAttribute(string name = null) { }
    }
}
