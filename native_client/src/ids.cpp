#include "ids.h"

#include <algorithm>
#include <random>

namespace townsfolk {

std::string fresh_id() {
  std::random_device random;  // large, so it may not be thread-local: a library loaded late has little room for that
  std::string id;
  for (int word = 0; word < 4; ++word) {
    unsigned int bits = random();
    for (int digit = 0; digit < 8; ++digit, bits >>= 4) id += "0123456789abcdef"[bits & 15];
  }
  return id;
}

bool is_id(std::string_view text) {
  const auto allowed = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == ':' || c == '-';
  };
  return !text.empty() && text.size() <= 128 && std::all_of(text.begin(), text.end(), allowed);
}

}  // namespace townsfolk
