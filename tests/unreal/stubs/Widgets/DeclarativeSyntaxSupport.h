// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.
// Slate's named arguments: each attribute takes a value, a member function or a lambda, each event a member function or a
// lambda, and all are checked for type.

#pragma once

#include "CoreMinimal.h"
#include "Input/Reply.h"
#include "Types/SlateEnums.h"

template <typename T>
class TAttribute
{
public:
	template <typename TOther>
		requires std::is_convertible_v<const TOther&, T>
	TAttribute(const TOther& Value);
};

template <typename TWidget>
struct TSlateBaseNamedArgs
{
};

#define SLATE_BEGIN_ARGS(Widget)                                                                                       \
public:                                                                                                                \
	struct FArguments : public TSlateBaseNamedArgs<Widget>                                                             \
	{                                                                                                                  \
		using WidgetArgsType = FArguments;                                                                             \
		FArguments()
#define SLATE_ARGUMENT(Type, Name)                                                                                     \
	Type _##Name;                                                                                                      \
	WidgetArgsType& Name(Type Value);
#define SLATE_END_ARGS()                                                                                               \
	}                                                                                                                  \
	;
#define STUB_TOOLTIP() STUB_ATTRIBUTE(FText, ToolTipText)
#define STUB_ATTRIBUTE(Type, Name)                                                                                     \
	WidgetArgsType& Name(TAttribute<Type> Value);                                                                      \
	template <CStubShared TOwner, typename TBase>                                                                      \
	WidgetArgsType& Name(TOwner* Owner, Type (TBase::*)() const);                                                      \
	template <typename TLambda>                                                                                        \
		requires std::is_invocable_r_v<Type, TLambda>                                                                  \
	WidgetArgsType& Name##_Lambda(TLambda Lambda)                                                                      \
	{                                                                                                                  \
		return *this;                                                                                                  \
	}
#define STUB_EVENT(Name, Result, ...)                                                                                  \
	template <CStubShared TOwner, typename TBase>                                                                      \
	WidgetArgsType& Name(TOwner* Owner, Result (TBase::*)(__VA_ARGS__));                                               \
	template <typename TLambda>                                                                                        \
		requires std::is_invocable_r_v<Result, TLambda __VA_OPT__(, ) __VA_ARGS__>                                     \
	WidgetArgsType& Name##_Lambda(TLambda Lambda)                                                                      \
	{                                                                                                                  \
		return *this;                                                                                                  \
	}
#define STUB_CONTENT() WidgetArgsType& operator[](const TSharedRef<SWidget>& Content);

template <typename TWidget>
struct TStubDeclaration
{
	TSharedRef<TWidget> operator<<=(const typename TWidget::FArguments& Arguments) const;
};

template <typename TWidget, typename TPointer>
TStubDeclaration<TWidget> StubAssign(TSharedPtr<TPointer>& Pointer)
	requires std::is_convertible_v<TWidget*, TPointer*>;

#define SNew(Widget) TStubDeclaration<Widget>() <<= typename Widget::FArguments()
#define SAssignNew(Pointer, Widget) StubAssign<Widget>(Pointer) <<= typename Widget::FArguments()
