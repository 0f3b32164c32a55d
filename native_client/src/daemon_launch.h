// Starting a daemon where none runs.
#pragma once

#include <atomic>
#include <optional>
#include <string>

#include "announcement.h"

namespace townsfolk {

struct LaunchOptions {
  std::string command, folder;  // both may be empty
};

struct LaunchResult {
  std::optional<Announcement> daemon;
  std::string error;
  bool cancelled = false;
};

// Finds the daemon of this user, or starts one and waits for it. Blocks; checks `stop` at least every 20 ms.
LaunchResult ensure_daemon(const LaunchOptions& options, const std::atomic<bool>& stop);

}  // namespace townsfolk
