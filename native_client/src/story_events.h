// A story's events as the daemon sends them, made into events of the interface.
#pragma once

#include "event.h"
#include "townsfolk/v1/story.pb.h"

namespace townsfolk {

// Null for a kind that this library does not know, and for a piece of a picture. A picture's has no bytes yet.
EventPtr story_event(townsfolk_request request, const v1::ComposeResponse& response);

}  // namespace townsfolk
