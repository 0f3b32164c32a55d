// Where and how a client connects: `townsfolk_options` with the defaults filled in.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace townsfolk {

struct Settings {
  std::string address;  // empty: the daemon that has announced itself
  std::string token;    // empty: the announced one
  std::string tls_certificate_pem;
  bool launch = false;
  std::size_t max_waiting_events = 8192;
  std::string launch_command;
  std::string launch_folder;
  double call_deadline_s = 10;
  double turn_deadline_s = 120;
};

// The token of gRPC metadata may hold visible ASCII only.
bool can_be_token(const std::string& text);

// A file's text, or nothing if it cannot be read.
std::optional<std::string> read_text(const std::string& path);

}  // namespace townsfolk
