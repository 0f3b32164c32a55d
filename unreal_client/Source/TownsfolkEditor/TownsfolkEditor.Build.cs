// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

using UnrealBuildTool;

public class TownsfolkEditor : ModuleRules
{
	public TownsfolkEditor(ReadOnlyTargetRules Target) : base(Target)
	{
		PCHUsage = PCHUsageMode.UseExplicitOrSharedPCHs;

		PrivateDependencyModuleNames.AddRange(new string[]
		{
			"Core",
			"CoreUObject",
			"DirectoryWatcher",
			"Engine",
			"InputCore",
			"PropertyEditor",
			"Slate",
			"SlateCore",
			"Townsfolk",
			"UnrealEd",
			"WorkspaceMenuStructure",
		});
	}
}
