// The daemon's ids of turns that go by another id towards the caller: a line that had to be asked for twice, since the
// daemon takes no id twice.
#pragma once

#include <deque>
#include <string>
#include <utility>

namespace townsfolk {

class TurnNames {
 public:
  void add(std::string callers, std::string daemons) {
    names_.emplace_front(std::move(callers), std::move(daemons));
    if (names_.size() > kMost) names_.pop_back();
  }

  const std::string& daemons(const std::string& callers) const {
    for (const auto& [ours, theirs] : names_) {
      if (ours == callers) return theirs;
    }
    return callers;
  }

 private:
  static constexpr std::size_t kMost = 1024;  // as many turns as the daemon keeps for Resume
  std::deque<std::pair<std::string, std::string>> names_;
};

}  // namespace townsfolk
