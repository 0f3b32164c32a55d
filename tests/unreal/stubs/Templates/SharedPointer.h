// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Templates/UnrealTemplate.h"

#include <cstddef>

template <typename T>
class TSharedRef;
template <typename T>
class TWeakPtr;
template <typename T>
struct TStubRawPointer
{
	T* Pointer;
};

template <typename T>
class TSharedPtr
{
public:
	TSharedPtr(std::nullptr_t = nullptr) {}
	TSharedPtr(const TSharedPtr& Other);
	TSharedPtr& operator=(const TSharedPtr& Other);
	~TSharedPtr();
	template <typename TOther>
		requires std::is_convertible_v<TOther*, T*>
	TSharedPtr(const TSharedPtr<TOther>&);
	template <typename TOther>
		requires std::is_convertible_v<TOther*, T*>
	TSharedPtr(const TSharedRef<TOther>&);
	T* Get() const;
	T* operator->() const;
	T& operator*() const;
	bool IsValid() const;
	explicit operator bool() const;
	TSharedRef<T> ToSharedRef() const;
	void Reset();
};

template <typename T>
class TSharedRef
{
public:
	TSharedRef(const TSharedRef& Other);
	TSharedRef& operator=(const TSharedRef& Other);
	~TSharedRef();
	template <typename TOther>
		requires std::is_convertible_v<TOther*, T*>
	TSharedRef(const TSharedRef<TOther>&);
	template <typename TOther>
		requires std::is_convertible_v<TOther*, T*>
	TSharedRef(const TStubRawPointer<TOther>&);
	T* operator->() const;
	T& operator*() const;
	T& Get() const;
};

template <typename T>
class TWeakPtr
{
public:
	TWeakPtr(std::nullptr_t = nullptr) {}
	template <typename TOther>
		requires std::is_convertible_v<TOther*, T*>
	TWeakPtr(const TSharedPtr<TOther>&);
	template <typename TOther>
		requires std::is_convertible_v<TOther*, T*>
	TWeakPtr(const TSharedRef<TOther>&);
	TSharedPtr<T> Pin() const;
	bool IsValid() const;
	void Reset();
};

template <typename T>
class TSharedFromThis
{
public:
	TSharedRef<T> AsShared();

protected:
	template <typename TOther>
	static TSharedRef<TOther> SharedThis(TOther* This);
};

template <typename T>
TStubRawPointer<T> MakeShareable(T* Pointer);

template <typename T, typename... TArguments>
TSharedRef<T> MakeShared(TArguments&&... Arguments)
	requires std::is_constructible_v<T, TArguments...>;
