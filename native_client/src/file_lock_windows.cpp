#ifdef _WIN32
#include <windows.h>

#include <system_error>

#include "file_lock.h"

namespace townsfolk {

FileLock::FileLock(const std::filesystem::path& file)
    : file_(reinterpret_cast<intptr_t>(CreateFileW(file.c_str(), GENERIC_READ | GENERIC_WRITE,
                                                   FILE_SHARE_READ | FILE_SHARE_WRITE, nullptr, OPEN_ALWAYS,
                                                   FILE_ATTRIBUTE_NORMAL, nullptr))) {
  if (reinterpret_cast<HANDLE>(file_) == INVALID_HANDLE_VALUE) {
    throw std::system_error(static_cast<int>(GetLastError()), std::system_category(), "cannot open " + file.u8string());
  }
}

FileLock::~FileLock() { CloseHandle(reinterpret_cast<HANDLE>(file_)); }

bool FileLock::try_lock() {
  OVERLAPPED first_byte{};
  if (LockFileEx(reinterpret_cast<HANDLE>(file_), LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0,
                 &first_byte)) {
    return true;
  }
  const DWORD reason = GetLastError();
  if (reason == ERROR_LOCK_VIOLATION || reason == ERROR_IO_PENDING) return false;
  throw std::system_error(static_cast<int>(reason), std::system_category(), "cannot lock the state folder");
}

}  // namespace townsfolk

#endif
