// Memory that lives as long as one event.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <type_traits>
#include <vector>

namespace townsfolk {

class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // A copy that ends in NUL.
  const char* keep(std::string_view text);

  // `count` zeroed values, or null for none.
  template <class T>
  T* array(std::size_t count) {
    static_assert(std::is_trivially_destructible_v<T>, "an arena runs no destructors");
    if (count == 0) return nullptr;
    return new (take(count * sizeof(T), alignof(T))) T[count]();
  }

 private:
  void* take(std::size_t bytes, std::size_t alignment);

  alignas(std::max_align_t) char first_[192];  // most events need no more than their own block
  char* next_ = first_;
  std::size_t left_ = sizeof(first_);
  std::vector<std::unique_ptr<char[]>> more_;
};

}  // namespace townsfolk
