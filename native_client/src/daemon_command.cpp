#include "daemon_command.h"

#include <optional>
#include <sstream>

#include "host.h"

namespace townsfolk {
namespace fs = std::filesystem;
namespace {

#ifdef _WIN32
constexpr char kProgram[] = "townsfolk.exe";
constexpr char kScripts[] = "Scripts";
constexpr char kPathSeparator = ';';
#else
constexpr char kProgram[] = "townsfolk";
constexpr char kScripts[] = "bin";
constexpr char kPathSeparator = ':';
#endif

fs::path working_folder() {
  std::error_code ignored;
  return fs::current_path(ignored);
}

std::optional<fs::path> on_path(const std::string& name) {
  fs::path file = fs::u8path(name);
#ifdef _WIN32
  if (!file.has_extension()) file += ".exe";
#endif
  std::istringstream folders(environment_variable("PATH").value_or(""));
  for (std::string folder; std::getline(folders, folder, kPathSeparator);) {
    const fs::path candidate = fs::u8path(folder) / file;
    if (candidate.is_absolute() && is_program(candidate)) return candidate;
  }
  return std::nullopt;
}

// `.venv` of a folder or of one above it. Not in the root, where others may write on Windows, nor one that another
// user has put above a shared folder.
std::optional<fs::path> in_virtual_environment(const fs::path& folder) {
  std::error_code ignored;
  const fs::path start = fs::absolute(folder.empty() ? working_folder() : folder, ignored).lexically_normal();
  for (fs::path at = start; at.has_relative_path(); at = at.parent_path()) {
    const fs::path candidate = at / ".venv" / kScripts / kProgram;
    if (is_program(candidate) && is_trusted(at / ".venv") && is_trusted(candidate)) return candidate;
  }
  return std::nullopt;
}

fs::path find_program(const std::string& program, const fs::path& folder) {
  const fs::path path = fs::u8path(program);
  if (!path.has_parent_path()) {
    if (auto found = on_path(program)) return *found;
    throw CommandNotFound("there is no program " + program + " on the PATH");
  }
  if (path.is_absolute()) {
    if (is_program(path)) return path;
    throw CommandNotFound("there is no program " + program);
  }
  std::string tried;
  for (const fs::path& base : {folder, executable_folder(), working_folder()}) {
    if (base.empty()) continue;
    std::error_code ignored;
    const fs::path candidate = fs::absolute(base, ignored) / path;
    if (is_program(candidate)) return candidate;
    tried += (tried.empty() ? "" : ", ") + candidate.u8string();
  }
  throw CommandNotFound("there is no program " + program + "; looked for " + tried);
}

std::vector<std::string> find_chosen(const std::string& command, const fs::path& folder, const std::string& source) {
  std::vector<std::string> words = split_command(command);
  if (words.empty()) throw CommandNotFound(source + " is empty");
  try {
    words[0] = find_program(words[0], folder).u8string();
  } catch (const CommandNotFound& error) {
    throw CommandNotFound(std::string(error.what()) + ", which " + source + " names");
  }
  return words;
}

std::vector<std::string> find_installed(const fs::path& folder) {
  const fs::path beside = executable_folder() / kProgram;
  if (is_program(beside)) return {beside.u8string()};
  if (const auto found = in_virtual_environment(folder)) return {found->u8string()};
  if (const auto found = on_path(kProgram)) return {found->u8string()};
  const fs::path start = folder.empty() ? working_folder() : folder;
  throw CommandNotFound(std::string("the command townsfolk was not found: there is no ") + beside.u8string() +
                        ", no .venv with it in " + start.u8string() +
                        " or above, and none on the PATH. Install it with `pip install 'townsfolk[embedded]'`, or name "
                        "it in the launch command or in TOWNSFOLK_COMMAND");
}

}  // namespace

std::vector<std::string> find_daemon_command(const std::string& command, const fs::path& folder) {
  if (!command.empty()) return find_chosen(command, folder, "the launch command");
  if (const auto chosen = environment_variable("TOWNSFOLK_COMMAND")) {
    return find_chosen(*chosen, folder, "TOWNSFOLK_COMMAND");
  }
  return find_installed(folder);
}

std::vector<std::string> split_command(const std::string& command) {
  std::vector<std::string> words;
  std::string word;
  bool quoted = false, begun = false;
  for (const char character : command) {
    if (character == '"') {
      quoted = !quoted;
      begun = true;
    } else if (character == ' ' && !quoted) {
      if (begun) words.push_back(word);
      word.clear();
      begun = false;
    } else {
      word += character;
      begun = true;
    }
  }
  if (begun) words.push_back(word);
  return words;
}

}  // namespace townsfolk
