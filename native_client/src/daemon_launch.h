#pragma once

#include <atomic>
#include <optional>
#include <string>

#include "announcement.h"

namespace townsfolk {

// How to launch a daemon; both may be empty. See find_daemon_command for `command`; `folder` is where the daemon runs
// and looks for ./personas and ./townsfolk.toml.
struct LaunchOptions {
  std::string command, folder;
};

// A daemon that serves, or one sentence on why there is none, or neither because `stop` was set.
struct LaunchResult {
  std::optional<Announcement> daemon;
  std::string error;
  bool cancelled = false;
};

// Finds the daemon of this user, or starts one and waits until it has loaded its model. However many processes do this
// at once, one daemon is started.
//
// Blocks; call it on a background thread. Returns within 20 ms once `stop` is set. A daemon that is then being started
// goes on, and is found by the next call. Never throws.
LaunchResult ensure_daemon(const LaunchOptions& options, const std::atomic<bool>& stop);

}  // namespace townsfolk
