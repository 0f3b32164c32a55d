// How often a thread asked for memory.
#pragma once

#include <cstdint>

namespace game {

// Whether allocations are counted here: not with another C library, nor where a sanitizer has the allocator.
bool allocations_are_counted();

// By malloc, its relatives and operator new, on this thread, since it began.
std::uint64_t allocations_of_this_thread();

}  // namespace game
