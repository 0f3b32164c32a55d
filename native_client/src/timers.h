// What the background thread is to do later.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "clock.h"

namespace townsfolk {

class Timers {
 public:
  using Key = std::pair<Clock::time_point, std::uint64_t>;

  Key add(Clock::time_point when, std::function<void()> what);
  void remove(const Key& key) { pending_.erase(key); }
  // When the next one is due; the far future if there is none.
  Clock::time_point next() const;
  void run_due();

 private:
  std::map<Key, std::function<void()>> pending_;
  std::uint64_t count_ = 0;
};

// One timer, which ends with its owner.
class Timer {
 public:
  explicit Timer(Timers& timers) : timers_(timers) {}
  ~Timer() { stop(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  void set(Clock::time_point when, std::function<void()> what);
  void stop();
  bool running() const { return running_; }

 private:
  Timers& timers_;
  Timers::Key key_;
  bool running_ = false;
};

}  // namespace townsfolk
