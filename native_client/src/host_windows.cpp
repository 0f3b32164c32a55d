#ifdef _WIN32
#include <windows.h>
// after windows.h
#include <knownfolders.h>
#include <shlobj.h>

#include <system_error>

#include "host.h"
#include "utf16.h"

namespace townsfolk {
namespace fs = std::filesystem;
namespace {

fs::path known_folder(REFKNOWNFOLDERID which) {
  wchar_t* found = nullptr;
  fs::path folder;
  if (SHGetKnownFolderPath(which, 0, nullptr, &found) == S_OK) folder = found;
  CoTaskMemFree(found);
  return folder;
}

}  // namespace

std::optional<std::string> environment_variable(const char* name) {
  const std::wstring wide_name = to_utf16(name);
  std::wstring value;
  DWORD size = GetEnvironmentVariableW(wide_name.c_str(), nullptr, 0);
  while (size > value.size()) {  // another thread may change it meanwhile
    value.resize(size);
    size = GetEnvironmentVariableW(wide_name.c_str(), value.data(), static_cast<DWORD>(value.size()));
  }
  value.resize(size);
  if (value.empty()) return std::nullopt;
  return to_utf8(value);
}

fs::path home_folder() { return known_folder(FOLDERID_Profile); }

fs::path user_state_folder() { return known_folder(FOLDERID_LocalAppData); }

fs::path executable_folder() {
  std::wstring file(32768, L'\0');  // the longest path there is
  file.resize(GetModuleFileNameW(nullptr, file.data(), static_cast<DWORD>(file.size())));
  return fs::path(file).parent_path();
}

bool is_program(const fs::path& file) {
  std::error_code ignored;
  return fs::is_regular_file(file, ignored);
}

bool is_trusted(const fs::path&) { return true; }

}  // namespace townsfolk

#endif
