// Declarations only; see README.md.
using System;

namespace Ink.Runtime
{
    public class VariablesState
    {
        public object this[string variableName]
        {
            get { return null; }
            set { }
        }
    }

    public class Story
    {
        public VariablesState variablesState { get { return null; } }
        public void BindExternalFunction<T1, T2>(string funcName, Action<T1, T2> act, bool lookaheadSafe = false) { }
    }
}
