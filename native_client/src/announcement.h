// The daemon that has announced itself to this user, by `daemon.json` in the state folder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace townsfolk {

// Where to connect. `address` is "host:port" or "unix:/path"; `token` and `tls_certificate` are empty without one.
struct Announcement {
  std::string address, token, tls_certificate;
  int64_t pid = 0;
};

// The daemon whose process lives and does not stop; it may still load its model. Nothing if the announcement is
// absent, stale or damaged.
std::optional<Announcement> read_announcement();

enum class DaemonPhase { kLoading, kServing, kStopping };

struct AnnouncedDaemon {
  Announcement announcement;
  DaemonPhase phase = DaemonPhase::kServing;
};

// The daemon whose process lives, in whatever phase.
std::optional<AnnouncedDaemon> read_announced_daemon();

}  // namespace townsfolk
