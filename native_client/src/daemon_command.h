#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

namespace townsfolk {

// No command that launches a daemon; the message says where it was looked for and what to do.
class CommandNotFound : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The command that launches a daemon, program (as an absolute path) and arguments: `command`, else TOWNSFOLK_COMMAND,
// else `townsfolk` beside the executable that runs, in the `.venv` of `folder` or of one above it, or on the PATH.
//
// A program named by a relative path is looked for in `folder`, beside the executable, and in the working directory.
// `folder` may be empty: then it is the working directory. Throws CommandNotFound.
std::vector<std::string> find_daemon_command(const std::string& command, const std::filesystem::path& folder);

// Words of a command line: split at spaces unless in double quotes. A backslash is a letter like any other, as in the
// paths of Windows.
std::vector<std::string> split_command(const std::string& command);

}  // namespace townsfolk
