using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("Townsfolk.Editor.Tests")]
