// Ids of sessions and turns.
#pragma once

#include <string>
#include <string_view>

namespace townsfolk {

// An id that nobody can guess: 32 hex digits.
std::string fresh_id();

// 1 to 128 characters of `A-Z a-z 0-9 . _ : -`.
bool is_id(std::string_view text);

}  // namespace townsfolk
