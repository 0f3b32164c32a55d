#include "timers.h"

namespace townsfolk {

namespace {
constexpr auto kFar = std::chrono::hours(1);
}

Timers::Key Timers::add(Clock::time_point when, std::function<void()> what) {
  const Key key{when, ++count_};
  pending_.emplace(key, std::move(what));
  return key;
}

Clock::time_point Timers::next() const {
  return pending_.empty() ? Clock::now() + kFar : pending_.begin()->first.first;
}

void Timers::run_due() {
  const auto now = Clock::now();
  while (!pending_.empty() && pending_.begin()->first.first <= now) {
    auto what = std::move(pending_.begin()->second);
    pending_.erase(pending_.begin());
    what();
  }
}

void Timer::set(Clock::time_point when, std::function<void()> what) {
  stop();
  running_ = true;
  key_ = timers_.add(when, [this, what = std::move(what)] {
    running_ = false;
    what();
  });
}

void Timer::stop() {
  if (running_) timers_.remove(key_);
  running_ = false;
}

}  // namespace townsfolk
