// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Containers/Array.h"

class FName
{
public:
	FName() = default;
	FName(const ANSICHAR* Name);
	FName(const TCHAR* Name);
};

class FString
{
public:
	FString() = default;
	FString(const TCHAR* Text);

	template <typename... TArguments>
	static FString Printf(const TCHAR* Format, TArguments... Arguments);

	const TCHAR* operator*() const;
	FString& operator+=(const FString& Text);
	bool operator==(const FString& Other) const;
	bool IsEmpty() const;
	void Empty();
	bool FindChar(TCHAR Character, int32& Index) const;
	FString Left(int32 Count) const;
	void RightChopInline(int32 Count);
	bool Split(const FString& Separator, FString* Left, FString* Right) const;
};

FString operator+(const FString& Left, const FString& Right);
FString operator+(const TCHAR* Left, const FString& Right);

class FText
{
public:
	static FText FromString(const FString& Text);
	static const FText& GetEmpty();
	template <typename... TArguments>
	static FText Format(const FText& Pattern, TArguments... Arguments);
	const FString& ToString() const;
};
