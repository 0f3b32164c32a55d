#include "arena.h"

#include <algorithm>
#include <cstring>

namespace townsfolk {

namespace {
constexpr std::size_t kBlockBytes = 2048;
}

const char* Arena::keep(std::string_view text) {
  if (text.empty()) return "";
  char* copy = static_cast<char*>(take(text.size() + 1, 1));
  std::memcpy(copy, text.data(), text.size());
  copy[text.size()] = '\0';
  return copy;
}

void* Arena::take(std::size_t bytes, std::size_t alignment) {
  void* place = next_;
  if (std::align(alignment, bytes, place, left_) == nullptr) {
    const std::size_t block = std::max(bytes, kBlockBytes);  // aligned for everything, as `new` is
    more_.push_back(std::make_unique<char[]>(block));
    place = more_.back().get();
    left_ = block;
  }
  next_ = static_cast<char*>(place) + bytes;
  left_ -= bytes;
  return place;
}

}  // namespace townsfolk
