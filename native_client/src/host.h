// What the operating system says about this process and its user. All text is UTF-8.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace townsfolk {

// Value of an environment variable; nothing if it is unset or empty.
std::optional<std::string> environment_variable(const char* name);

// The user's home; empty if there is none.
std::filesystem::path home_folder();

// Where programs of this user keep their state, by the rules of the Python package platformdirs; empty if unknown.
std::filesystem::path user_state_folder();

// Folder of the executable that runs, links resolved; empty if unknown.
std::filesystem::path executable_folder();

// Whether `file` is a program that this user may run.
bool is_program(const std::filesystem::path& file);

// Whether a file belongs to this user or to the administrator. Always true on Windows, where folders inherit who may
// write into them.
bool is_trusted(const std::filesystem::path& file);

}  // namespace townsfolk
