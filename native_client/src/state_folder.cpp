#include "state_folder.h"

#include <algorithm>
#include <fstream>
#include <stdexcept>
#include <system_error>

#include "host.h"

namespace townsfolk {
namespace fs = std::filesystem;
namespace {

fs::path with_home(const std::string& path) {
  const bool in_home = path == "~" || path.rfind("~/", 0) == 0 || path.rfind("~\\", 0) == 0;
  if (!in_home) return fs::u8path(path);
  return path.size() <= 2 ? home_folder() : home_folder() / fs::u8path(path.substr(2));
}

}  // namespace

fs::path state_folder() {
  if (const auto chosen = environment_variable("TOWNSFOLK_STATE_DIR")) {
    std::error_code ignored;
    return fs::absolute(with_home(*chosen), ignored);
  }
  const fs::path base = user_state_folder();
  return base.empty() ? base : base / "townsfolk";
}

fs::path make_state_folder() {
  const fs::path folder = state_folder();
  if (folder.empty()) throw std::runtime_error("this user has no home folder; set TOWNSFOLK_STATE_DIR");
  std::error_code error;
  if (fs::create_directories(folder, error)) fs::permissions(folder, fs::perms::owner_all, error);
  if (error || !fs::is_directory(folder, error)) {
    throw std::runtime_error("the state folder " + folder.u8string() + " cannot be made (" + error.message() +
                             "); set TOWNSFOLK_STATE_DIR to another one");
  }
  return folder;
}

std::string read_bounded(const fs::path& file, size_t limit, bool from_end) {
  std::ifstream stream(file, std::ios::binary | std::ios::ate);
  if (!stream) return "";
  const size_t size = std::min(static_cast<size_t>(std::max<std::streamoff>(stream.tellg(), 0)), limit);
  stream.seekg(from_end ? -static_cast<std::streamoff>(size) : 0, from_end ? std::ios::end : std::ios::beg);
  std::string content(size, '\0');
  stream.read(content.data(), static_cast<std::streamsize>(size));
  content.resize(static_cast<size_t>(stream.gcount()));
  return content;
}

}  // namespace townsfolk
