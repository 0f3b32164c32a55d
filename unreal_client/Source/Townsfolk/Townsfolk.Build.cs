// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

using UnrealBuildTool;

public class Townsfolk : ModuleRules
{
	public Townsfolk(ReadOnlyTargetRules Target) : base(Target)
	{
		PCHUsage = PCHUsageMode.UseExplicitOrSharedPCHs;

		PublicDependencyModuleNames.AddRange(new string[]
		{
			"Core",
			"CoreUObject",
			"DeveloperSettings",
			"Engine",
			"TownsfolkClient",
		});

		PrivateDependencyModuleNames.AddRange(new string[]
		{
			"EngineSettings",
			"Projects",
		});
	}
}
