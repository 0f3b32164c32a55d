using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("Townsfolk.Client.Tests")]
[assembly: InternalsVisibleTo("Townsfolk.Editor.Tests")]
