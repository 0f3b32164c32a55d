#ifndef _WIN32
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <system_error>

#include "host.h"

#ifdef __APPLE__
#include <mach-o/dyld.h>
#endif

namespace townsfolk {
namespace fs = std::filesystem;

std::optional<std::string> environment_variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

fs::path home_folder() {
  fs::path home = environment_variable("HOME").value_or("");
  if (home.is_absolute()) return home;
  std::array<char, 16384> buffer;
  passwd entry{};
  passwd* found = nullptr;
  getpwuid_r(getuid(), &entry, buffer.data(), buffer.size(), &found);
  return found == nullptr || found->pw_dir == nullptr ? fs::path() : fs::path(found->pw_dir);
}

fs::path user_state_folder() {
  fs::path chosen = environment_variable("XDG_STATE_HOME").value_or("");
  if (chosen.is_absolute()) return chosen;
  const fs::path home = home_folder();
  if (home.empty()) return {};
#ifdef __APPLE__
  return home / "Library" / "Application Support";
#else
  return home / ".local" / "state";
#endif
}

fs::path executable_folder() {
  std::error_code ignored;
#ifdef __APPLE__
  std::array<char, 4096> buffer;
  uint32_t size = buffer.size();
  if (_NSGetExecutablePath(buffer.data(), &size) != 0) return {};
  return fs::canonical(buffer.data(), ignored).parent_path();
#else
  return fs::read_symlink("/proc/self/exe", ignored).parent_path();
#endif
}

bool is_program(const fs::path& file) {
  std::error_code ignored;
  return fs::is_regular_file(file, ignored) && access(file.c_str(), X_OK) == 0;
}

bool is_trusted(const fs::path& file) {
  struct stat found{};
  return stat(file.c_str(), &found) == 0 && (found.st_uid == geteuid() || found.st_uid == 0);
}

}  // namespace townsfolk

#endif
