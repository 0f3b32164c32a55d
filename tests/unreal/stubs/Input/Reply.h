// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

class FReply
{
public:
	static FReply Handled();
};
