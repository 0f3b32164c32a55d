// Events on their way from the background thread to the thread that polls: a ring for one writer and one reader,
// without locks, so that a game's frame never waits for the other thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "event.h"

namespace townsfolk {

class EventQueue {
 public:
  // `max_waiting` events may wait; `max_last` is how many last events may come on top, one of each open request.
  EventQueue(std::size_t max_waiting, std::size_t max_last);

  // ── writer ──

  // Takes the event, or leaves it with the caller if too many wait.
  bool try_push(EventPtr& event);
  // The same for an event that is lost if it is not taken; the reader is told how many were.
  bool push_or_lose(EventPtr event);
  // The last event of a request. There is always room for it.
  void push_last(EventPtr event);

  // ── reader ──

  // The next event or null. Allocates nothing.
  EventPtr pop();

 private:
  std::size_t waiting() const;
  void put(EventPtr event);
  EventPtr take();

  const std::size_t max_waiting_;
  std::vector<EventPtr> ring_;  // a power of two long
  const std::uint64_t mask_;
  // apart, so that the two threads do not fight over one cache line
  alignas(64) std::atomic<std::uint64_t> written_{0};
  alignas(64) std::atomic<std::uint64_t> read_{0};
  alignas(64) std::atomic<std::uint32_t> lost_{0};
  std::atomic<bool> loss_told_{false};  // an event that tells of losses waits in the ring
};

}  // namespace townsfolk
