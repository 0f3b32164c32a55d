#include "event.h"

#include <cstring>

namespace townsfolk {

Event::Event(townsfolk_event_kind kind, townsfolk_request request) {
  view.kind = kind;
  view.request = request;
  view.turn_id = view.session_id = view.persona_id = "";
  view.text = view.json = view.field = view.fallback_reason = "";
}

void Event::set_text(std::string_view text) {
  view.text = keep(text);
  view.text_bytes = text.size();
}

void Event::set_bytes(std::string_view bytes) {
  auto* copy = array<uint8_t>(bytes.size());
  if (copy != nullptr) std::memcpy(copy, bytes.data(), bytes.size());
  view.bytes = copy;
  view.byte_count = bytes.size();
}

}  // namespace townsfolk
