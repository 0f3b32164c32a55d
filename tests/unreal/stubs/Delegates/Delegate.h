// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "UObject/WeakObjectPtrTemplates.h"

class FDelegateHandle
{
public:
	bool IsValid() const;
	void Reset();
};

template <typename TSignature>
class TDelegate;

/** A UObject's binding is weak, so is that of a shared object; both must be complete types. */
template <typename T>
concept CStubObject = std::is_base_of_v<UObject, T>;
template <typename T>
concept CStubShared = requires(T& Object) { Object.AsShared(); };

template <typename R, typename... TParams>
class TDelegate<R(TParams...)>
{
public:
	template <CStubObject T, typename TBase, typename... TVars>
	static TDelegate CreateUObject(T* Object, R (TBase::*)(TParams..., TVars...), std::type_identity_t<TVars>...);
	template <CStubShared T, typename TBase, typename... TVars>
	static TDelegate CreateSP(T* Object, R (TBase::*)(TParams..., TVars...), std::type_identity_t<TVars>...);
	template <typename T, typename TBase>
	static TDelegate CreateRaw(T* Object, R (TBase::*)(TParams...));
	static TDelegate CreateStatic(R (*)(TParams...));
	template <CStubShared T, typename TBase>
	void BindSP(T* Object, R (TBase::*)(TParams...));
	bool ExecuteIfBound(TParams... Params) const;
	bool IsBound() const;
};

template <typename TSignature>
class TMulticastDelegate;

template <typename... TParams>
class TMulticastDelegate<void(TParams...)>
{
public:
	template <CStubObject T, typename TBase>
	FDelegateHandle AddUObject(T* Object, void (TBase::*)(TParams...));
	template <CStubShared T, typename TBase>
	FDelegateHandle AddSP(T* Object, void (TBase::*)(TParams...));
	template <CStubShared T, typename TBase>
	FDelegateHandle AddSP(const T* Object, void (TBase::*)(TParams...) const);
	template <typename T, typename TBase>
	FDelegateHandle AddRaw(T* Object, void (TBase::*)(TParams...));
	void Broadcast(TParams... Params) const;
	bool Remove(FDelegateHandle Handle);
	int32 RemoveAll(const void* Object);
};

using FSimpleDelegate = TDelegate<void()>;
using FSimpleMulticastDelegate = TMulticastDelegate<void()>;

template <typename... TParams>
class TStubDynamicMulticastDelegate
{
public:
	void Broadcast(TParams... Params) const;
};

#define DECLARE_DELEGATE_OneParam(Name, Type) using Name = TDelegate<void(Type)>
#define DECLARE_DYNAMIC_MULTICAST_DELEGATE(Name) using Name = TStubDynamicMulticastDelegate<>
#define DECLARE_DYNAMIC_MULTICAST_DELEGATE_OneParam(Name, Type1, Name1)                                                \
	using Name = TStubDynamicMulticastDelegate<Type1>
#define DECLARE_DYNAMIC_MULTICAST_DELEGATE_TwoParams(Name, Type1, Name1, Type2, Name2)                                 \
	using Name = TStubDynamicMulticastDelegate<Type1, Type2>
#define DECLARE_DYNAMIC_MULTICAST_DELEGATE_ThreeParams(Name, Type1, Name1, Type2, Name2, Type3, Name3)                 \
	using Name = TStubDynamicMulticastDelegate<Type1, Type2, Type3>
#define DECLARE_DYNAMIC_MULTICAST_DELEGATE_FourParams(Name, Type1, Name1, Type2, Name2, Type3, Name3, Type4, Name4)    \
	using Name = TStubDynamicMulticastDelegate<Type1, Type2, Type3, Type4>
#define DECLARE_DYNAMIC_MULTICAST_DELEGATE_SixParams(                                                                  \
	Name, Type1, Name1, Type2, Name2, Type3, Name3, Type4, Name4, Type5, Name5, Type6, Name6)                          \
	using Name = TStubDynamicMulticastDelegate<Type1, Type2, Type3, Type4, Type5, Type6>
