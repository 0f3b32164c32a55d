// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Templates/UnrealTemplate.h"

#include <initializer_list>

template <typename T>
class TArray
{
public:
	TArray() = default;
	TArray(std::initializer_list<T>) {}
	TArray(const T* Pointer, int32 Count);

	int32 Num() const;
	bool IsEmpty() const;
	T* GetData();
	const T* GetData() const;
	int32 Add(const T& Item);
	int32 Add(T&& Item);
	int32 AddUnique(const T& Item);
	T& AddDefaulted_GetRef();
	void Reset(int32 NewSize = 0);
	T& operator[](int32 Index);
	const T& operator[](int32 Index) const;
	T* begin();
	T* end();
	const T* begin() const;
	const T* end() const;
};
