// In the place of arena.o of Debian's libprotobuf.a; see README.md. No message of this library lives in an arena, so
// that nothing of what follows is ever called: all of it stops the process, should that change.

#include <google/protobuf/arena.h>
#include <google/protobuf/arena_impl.h>

#include <cstdio>
#include <cstdlib>

static_assert(GOOGLE_PROTOBUF_VERSION == 3021012, "this libprotobuf.a wants another protobuf_arena.cpp");

namespace google {
namespace protobuf {

namespace {

[[noreturn]] void no_arenas() {
  std::fputs("townsfolk_client was linked without protobuf's arenas\n", stderr);
  std::abort();
}

}  // namespace

void* Arena::AllocateAlignedNoHook(size_t) { no_arenas(); }
void* Arena::AllocateAlignedWithHook(size_t, const std::type_info*) { no_arenas(); }
void* Arena::AllocateAlignedWithHookForArray(size_t, const std::type_info*) { no_arenas(); }
std::pair<void*, internal::SerialArena::CleanupNode*> Arena::AllocateAlignedWithCleanup(size_t, const std::type_info*) {
  no_arenas();
}

namespace internal {

__thread ThreadSafeArena::ThreadCache ThreadSafeArena::thread_cache_{};
ThreadSafeArena::CacheAlignedLifecycleIdGenerator ThreadSafeArena::lifecycle_id_generator_{};

void ThreadSafeArena::Init() { no_arenas(); }
void ThreadSafeArena::InitializeFrom(void*, size_t) { no_arenas(); }
void ThreadSafeArena::InitializeWithPolicy(void*, size_t, AllocationPolicy) { no_arenas(); }
ThreadSafeArena::~ThreadSafeArena() { no_arenas(); }
uint64_t ThreadSafeArena::Reset() { no_arenas(); }
uint64_t ThreadSafeArena::SpaceAllocated() const { no_arenas(); }
uint64_t ThreadSafeArena::SpaceUsed() const { no_arenas(); }
void ThreadSafeArena::AddCleanup(void*, void (*)(void*)) { no_arenas(); }
void* ThreadSafeArena::AllocateAlignedFallback(size_t, const std::type_info*) { no_arenas(); }
std::pair<void*, SerialArena::CleanupNode*> ThreadSafeArena::AllocateAlignedWithCleanup(size_t, const std::type_info*) {
  no_arenas();
}
SerialArena* ThreadSafeArena::GetSerialArenaFallback(void*) { no_arenas(); }
void* SerialArena::AllocateAlignedFallback(size_t, const AllocationPolicy*) { no_arenas(); }
std::pair<void*, SerialArena::CleanupNode*> SerialArena::AllocateAlignedWithCleanupFallback(size_t,
                                                                                            const AllocationPolicy*) {
  no_arenas();
}

}  // namespace internal
}  // namespace protobuf
}  // namespace google
