// What a daemon that was started in the background prints.
#pragma once

#include <filesystem>
#include <string>

namespace townsfolk {

// Keeps the log of the daemon before as `daemon.previous.log`, and returns the path of the next one.
std::filesystem::path begin_daemon_log(const std::filesystem::path& state_folder);

// Why a daemon has ended: the error that it printed last, else its last lines; on one line, in valid UTF-8.
std::string last_words(const std::filesystem::path& log);

}  // namespace townsfolk
