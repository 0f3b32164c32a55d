// Secrets of the user: made at random, and kept in files that nobody else can read.
#pragma once

#include <filesystem>
#include <string>

namespace townsfolk {

// 256 bits from the system's source of randomness as 64 hexadecimal digits. Throws std::system_error.
std::string random_token();

// Makes a file, or replaces it as a whole, that only this user can read (mode 0600; on Windows the rights are those of
// its folder). Throws std::system_error.
void write_private_file(const std::filesystem::path& file, const std::string& content);

}  // namespace townsfolk
