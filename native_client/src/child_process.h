// Processes: one that this one starts in the background, and whether any lives.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace townsfolk {

struct ChildOptions {
  std::vector<std::string> command;                // program as an absolute path, then its arguments
  std::filesystem::path folder;                    // where it runs; empty: where this process does
  std::filesystem::path log;                       // gets its stdout and stderr
  std::map<std::string, std::string> environment;  // added to that of this process
};

// Starts a process without a window or a terminal. Its standard input is a pipe that ends when this process does, by
// which it can tell; it inherits nothing else. Returns its id. Throws std::system_error.
int64_t start_child(const ChildOptions& options);

// Ends a child and what it has started, at once.
void kill_child(int64_t pid);

// Whether a process runs. A child that has ended is forgotten here, and its pipe closed.
bool process_alive(int64_t pid);

}  // namespace townsfolk
