// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

using System.IO;
using UnrealBuildTool;

/// The native client: one shared library with gRPC inside, behind a C interface. Tools/stage.py brings it here.
public class TownsfolkClient : ModuleRules
{
	public TownsfolkClient(ReadOnlyTargetRules Target) : base(Target)
	{
		Type = ModuleType.External;

		PublicSystemIncludePaths.Add(Path.Combine(ModuleDirectory, "Include"));

		string Folder = Path.Combine(ModuleDirectory, "Lib", Target.Platform.ToString());
		if (Target.Platform == UnrealTargetPlatform.Win64)
		{
			string Library = Staged(Folder, "townsfolk_client.dll");
			PublicAdditionalLibraries.Add(Staged(Folder, "townsfolk_client.lib"));
			// Delay-loaded, so that the module can load it from the plugin's own folder first.
			PublicDelayLoadDLLs.Add("townsfolk_client.dll");
			RuntimeDependencies.Add(Library);
		}
		else
		{
			bool bMac = Target.Platform == UnrealTargetPlatform.Mac;
			string Library = Staged(Folder, bMac ? "libtownsfolk_client.dylib" : "libtownsfolk_client.so");
			PublicAdditionalLibraries.Add(Library);
			PublicDelayLoadDLLs.Add(Library);
			RuntimeDependencies.Add(Library);
		}
	}

	private static string Staged(string Folder, string Name)
	{
		string Library = Path.Combine(Folder, Name);
		if (!File.Exists(Library))
		{
			throw new BuildException(
				"Townsfolk: " + Library + " is missing. Run 'python Tools/stage.py FOLDER' in the plugin's folder, " +
				"with the folder that holds the built native client.");
		}
		return Library;
	}
}
