// Prints what P/Invoke assumes of the library: sizes and offsets of structs, values of enums, names of functions. In the
// same form as the C program that test_layout.py makes from the header.
using System;
using System.Reflection;
using System.Runtime.InteropServices;

internal static class PrintLayout
{
    private static void Main(string[] arguments)
    {
        foreach (Type type in Assembly.LoadFrom(arguments[0]).GetTypes())
        {
            if (type.IsEnum)
            {
                foreach (object value in Enum.GetValues(type))
                {
                    Console.WriteLine("enum " + type.Name + "." + value + " " + Convert.ToInt32(value));
                }
            }
            else if (type.IsValueType && type.IsLayoutSequential && type.Name.StartsWith("Native"))
            {
                Console.WriteLine("size " + type.Name + " " + Marshal.SizeOf(type));
                foreach (FieldInfo field in type.GetFields())
                {
                    Console.WriteLine(
                        "offset " + type.Name + "." + field.Name + " " + Marshal.OffsetOf(type, field.Name));
                }
            }
            else if (type.Name == "NativeMethods")
            {
                foreach (MethodInfo method in type.GetMethods(BindingFlags.Public | BindingFlags.Static))
                {
                    Console.WriteLine("function " + method.Name + " " + method.GetParameters().Length);
                }
            }
        }
    }
}
