// A folder and environment variables of one test's own.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

namespace townsfolk {

namespace fs = std::filesystem;

inline std::string content_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

inline void write(const fs::path& file, const std::string& content) {
  fs::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << content;
}

inline fs::path write_script(const fs::path& file, const std::string& commands) {
  write(file, "#!/bin/sh\n" + commands + "\n");
  ::chmod(file.c_str(), 0755);
  return file;
}

// Sets an environment variable, or unsets it, until the end of its life.
class Variable {
 public:
  Variable(const char* name, const std::optional<std::string>& value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    set(value);
  }
  ~Variable() { set(before_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  void set(const std::optional<std::string>& value) const {
    if (value) {
      ::setenv(name_.c_str(), value->c_str(), 1);
    } else {
      ::unsetenv(name_.c_str());
    }
  }

  std::string name_;
  std::optional<std::string> before_;
};

// The state folder is "<folder>/Zustand für alle 雪", and no command of the user's own is found.
class OwnFolder : public testing::Test {
 protected:
  OwnFolder()
      : folder(make_folder()),
        state(folder / "Zustand für alle 雪"),
        state_variable_("TOWNSFOLK_STATE_DIR", state.string()),
        command_variable_("TOWNSFOLK_COMMAND", std::nullopt),
        timeout_variable_("TOWNSFOLK_LAUNCH_TIMEOUT_S", std::nullopt) {}
  ~OwnFolder() override { fs::remove_all(folder); }

  const fs::path folder;
  const fs::path state;

 private:
  static fs::path make_folder() {
    std::string name = (fs::temp_directory_path() / "townsfolk launch XXXXXX").string();
    return fs::canonical(::mkdtemp(name.data()));
  }

  Variable state_variable_, command_variable_, timeout_variable_;
};

}  // namespace townsfolk
