// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

namespace ESelectInfo
{
enum Type : int
{
	OnKeyPress,
	OnNavigation,
	OnMouseClick,
	Direct
};
} // namespace ESelectInfo

namespace ETextCommit
{
enum Type : int
{
	Default,
	OnEnter,
	OnUserMovedFocus,
	OnCleared
};
} // namespace ETextCommit
