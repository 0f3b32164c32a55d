// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.
// What UHT makes of GENERATED_BODY comes from headers that the test writes.

#pragma once

#define UCLASS(...)
#define USTRUCT(...)
#define UENUM(...)
#define UPROPERTY(...)
#define UFUNCTION(...)
#define STUB_PASTE_INNER(A, B, C) A##B##C
#define STUB_PASTE(A, B, C) STUB_PASTE_INNER(A, B, C)
#define GENERATED_BODY(...) STUB_PASTE(CURRENT_FILE_ID, __LINE__, _GENERATED_BODY)
