#include "utf8.h"

#include <cstddef>

namespace townsfolk {

namespace {

struct Lead {
  std::size_t following;
  unsigned char low, high;  // of the byte after the first
};

// How a code point goes on after its first byte; `following` 0 stands for a byte that cannot begin one.
Lead lead_of(unsigned char first) {
  if (first >= 0xC2 && first <= 0xDF) return {1, 0x80, 0xBF};
  if (first == 0xE0) return {2, 0xA0, 0xBF};
  if (first == 0xED) return {2, 0x80, 0x9F};
  if (first >= 0xE1 && first <= 0xEF) return {2, 0x80, 0xBF};
  if (first == 0xF0) return {3, 0x90, 0xBF};
  if (first >= 0xF1 && first <= 0xF3) return {3, 0x80, 0xBF};
  if (first == 0xF4) return {3, 0x80, 0x8F};
  return {0, 0, 0};
}

}  // namespace

bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = [&](std::size_t offset) { return static_cast<unsigned char>(text[i + offset]); };
    if (byte(0) < 0x80) {
      ++i;
      continue;
    }
    const Lead lead = lead_of(byte(0));
    if (lead.following == 0 || text.size() - i <= lead.following) return false;
    if (byte(1) < lead.low || byte(1) > lead.high) return false;
    for (std::size_t k = 2; k <= lead.following; ++k) {
      if ((byte(k) & 0xC0) != 0x80) return false;
    }
    i += lead.following + 1;
  }
  return true;
}

}  // namespace townsfolk
