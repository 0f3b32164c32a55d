// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Templates/SharedPointer.h"

class UObject;

template <typename T = UObject>
class TWeakObjectPtr
{
public:
	TWeakObjectPtr() = default;
	TWeakObjectPtr(T* Object);
	template <typename TOther>
		requires std::is_convertible_v<TOther*, T*>
	TWeakObjectPtr(const TWeakObjectPtr<TOther>&);
	T* Get() const;
	bool IsValid() const;
	T* operator->() const;
};

template <typename T>
class TObjectPtr
{
public:
	TObjectPtr() = default;
	TObjectPtr(T* Object);
	T* Get() const;
	operator T*() const;
	T* operator->() const;
};
