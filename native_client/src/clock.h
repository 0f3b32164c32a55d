// The one clock that deadlines and timers of the client run by.
#pragma once

#include <chrono>

namespace townsfolk {

using Clock = std::chrono::steady_clock;

inline Clock::duration seconds(double count) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(count));
}

// gRPC takes wall-clock deadlines.
inline std::chrono::system_clock::time_point as_wall_clock(Clock::time_point time) {
  using Wall = std::chrono::system_clock;
  return Wall::now() + std::chrono::duration_cast<Wall::duration>(time - Clock::now());
}

}  // namespace townsfolk
