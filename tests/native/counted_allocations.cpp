#include "counted_allocations.h"

#include <cstdlib>

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define TOWNSFOLK_COUNTS_ALLOCATIONS 1
#else
#define TOWNSFOLK_COUNTS_ALLOCATIONS 0
#endif

namespace {

thread_local std::uint64_t allocations = 0;

}  // namespace

namespace game {

bool allocations_are_counted() { return TOWNSFOLK_COUNTS_ALLOCATIONS != 0; }

std::uint64_t allocations_of_this_thread() { return allocations; }

}  // namespace game

#if TOWNSFOLK_COUNTS_ALLOCATIONS

// operator new asks malloc, so that it is counted as well.
extern "C" {

void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t size) {
  ++allocations;
  return __libc_malloc(size);
}

void* calloc(std::size_t count, std::size_t size) {
  ++allocations;
  return __libc_calloc(count, size);
}

void* realloc(void* block, std::size_t size) {
  ++allocations;
  return __libc_realloc(block, size);
}

void* aligned_alloc(std::size_t alignment, std::size_t size) {
  ++allocations;
  return __libc_memalign(alignment, size);
}

int posix_memalign(void** block, std::size_t alignment, std::size_t size) {
  ++allocations;
  *block = __libc_memalign(alignment, size);
  return *block == nullptr ? 12 /* ENOMEM */ : 0;
}

}  // extern "C"

#endif
