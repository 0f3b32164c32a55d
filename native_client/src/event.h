// One event with everything that it points to.
#pragma once

#include <memory>
#include <string_view>

#include "arena.h"
#include "townsfolk_client.h"

namespace townsfolk {

class Event {
 public:
  Event(townsfolk_event_kind kind, townsfolk_request request);

  // What the caller gets to see.
  townsfolk_event view{};

  const char* keep(std::string_view text) { return arena_.keep(text); }
  template <class T>
  T* array(std::size_t count) {
    return arena_.array<T>(count);
  }
  void set_text(std::string_view text);
  void set_bytes(std::string_view bytes);

 private:
  Arena arena_;
};

using EventPtr = std::unique_ptr<Event>;

}  // namespace townsfolk
