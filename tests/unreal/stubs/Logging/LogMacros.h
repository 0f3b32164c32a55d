// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "HAL/Platform.h"

struct FLogCategoryBase
{
};

namespace ELogVerbosity
{
enum Type
{
	Error,
	Warning,
	Display,
	Log
};
} // namespace ELogVerbosity

template <typename... TArguments>
void StubLog(
	const FLogCategoryBase& Category, ELogVerbosity::Type Verbosity, const TCHAR* Format, TArguments... Arguments);

#define DECLARE_LOG_CATEGORY_EXTERN(Name, Default, CompileTime)                                                        \
	extern struct FLogCategory##Name : FLogCategoryBase                                                                \
	{                                                                                                                  \
	} Name
#define DEFINE_LOG_CATEGORY(Name) FLogCategory##Name Name
#define UE_LOG(Category, Verbosity, Format, ...)                                                                       \
	StubLog(Category, ELogVerbosity::Verbosity, Format __VA_OPT__(, ) __VA_ARGS__)
