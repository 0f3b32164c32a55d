// Arguments that cannot be right. Thrown and caught within one call of the interface.
#pragma once

#include <stdexcept>
#include <string>

#include "townsfolk_client.h"

namespace townsfolk {

struct Refused : std::runtime_error {
  Refused(townsfolk_status why, const std::string& text) : std::runtime_error(text), status(why) {}
  explicit Refused(const std::string& text) : Refused(TOWNSFOLK_INVALID_ARGUMENT, text) {}

  townsfolk_status status;
};

}  // namespace townsfolk
