#pragma once

#include <cstdint>
#include <filesystem>

namespace townsfolk {

// An exclusive lock between processes, of the kind that the daemon's own commands take (flock; on Windows the first
// byte of the file). The system lets go of it when its holder dies.
class FileLock {
 public:
  // Opens the file, making it if need be, without locking it. Throws std::system_error.
  explicit FileLock(const std::filesystem::path& file);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

  // Takes the lock if nobody else has it. Never waits. Throws std::system_error where files cannot be locked.
  bool try_lock();

 private:
  intptr_t file_;  // descriptor or HANDLE
};

}  // namespace townsfolk
