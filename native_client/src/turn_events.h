// A turn's events as the daemon sends them, made into events of the interface.
#pragma once

#include "event.h"
#include "townsfolk/v1/common.pb.h"

namespace townsfolk {

// Null for a kind that this library does not know.
EventPtr turn_event(townsfolk_request request, const v1::TurnEvent& event);

townsfolk_turn_stats stats_of(const v1::TurnStats& given);
// UNSPECIFIED for a reason that this library does not know.
int32_t finish_reason_of(v1::FinishReason given);

}  // namespace townsfolk
