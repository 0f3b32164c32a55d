// Runs the NUnit tests of the assemblies named on the command line, as Unity's test runner would, and prints a line for
// each: "ok NAME", "skip NAME: why" or "FAIL NAME: why". `--only Fixture` runs one fixture.
using System;
using System.Collections.Generic;
using System.IO;
using System.Reflection;
using NUnit.Framework;

internal static class TestRunner
{
    private static string only;
    private static int failures;

    private static int Main(string[] arguments)
    {
        List<string> assemblies = new List<string>();
        for (int i = 0; i < arguments.Length; i++)
        {
            if (arguments[i] == "--only")
            {
                only = arguments[++i];
            }
            else
            {
                assemblies.Add(arguments[i]);
            }
        }
        foreach (string assembly in assemblies)
        {
            foreach (Type fixture in Assembly.LoadFrom(Path.GetFullPath(assembly)).GetTypes())
            {
                RunFixture(fixture);
            }
        }
        return failures == 0 ? 0 : 1;
    }

    private static void RunFixture(Type fixture)
    {
        if (fixture.IsAbstract || (only != null && fixture.Name != only))
        {
            return;
        }
        foreach (MethodInfo method in fixture.GetMethods())
        {
            if (method.IsDefined(typeof(TestAttribute), true))
            {
                RunTest(fixture, method);
            }
        }
    }

    private static void RunTest(Type fixture, MethodInfo test)
    {
        string name = fixture.Name + "." + test.Name;
        try
        {
            object instance = Activator.CreateInstance(fixture);
            try
            {
                InvokeAll(instance, typeof(SetUpAttribute));
                test.Invoke(instance, null);
            }
            finally
            {
                InvokeAll(instance, typeof(TearDownAttribute));
            }
            Report("ok " + name);
        }
        catch (TargetInvocationException wrapper)
        {
            if (wrapper.InnerException is IgnoreException)
            {
                Report("skip " + name + ": " + OneLine(wrapper.InnerException.Message));
                return;
            }
            failures++;
            Report("FAIL " + name + ": " + OneLine(wrapper.InnerException.ToString()));
        }
    }

    private static void InvokeAll(object instance, Type attribute)
    {
        foreach (MethodInfo method in instance.GetType().GetMethods())
        {
            if (method.IsDefined(attribute, true))
            {
                method.Invoke(instance, null);
            }
        }
    }

    private static string OneLine(string text)
    {
        return text.Trim().Replace("\r", "").Replace("\n", " | ");
    }

    private static void Report(string line)
    {
        Console.Out.WriteLine(line);
        Console.Out.Flush();
    }
}
