// The daemon that has announced itself to this user.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace townsfolk {

struct Announcement {
  std::string address, token, tls_certificate;
  std::int64_t pid = 0;
};

// What `daemon.json` of the state directory says.
std::optional<Announcement> read_announcement();

}  // namespace townsfolk
