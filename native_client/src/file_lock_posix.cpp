#ifndef _WIN32
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "file_lock.h"

namespace townsfolk {

FileLock::FileLock(const std::filesystem::path& file)
    : file_(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
  if (file_ < 0) throw std::system_error(errno, std::generic_category(), "cannot open " + file.string());
}

FileLock::~FileLock() { ::close(static_cast<int>(file_)); }

bool FileLock::try_lock() {
  if (::flock(static_cast<int>(file_), LOCK_EX | LOCK_NB) == 0) return true;
  if (errno == EWOULDBLOCK || errno == EINTR) return false;
  throw std::system_error(errno, std::generic_category(), "cannot lock the state folder");
}

}  // namespace townsfolk

#endif
