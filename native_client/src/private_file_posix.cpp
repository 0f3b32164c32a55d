#ifndef _WIN32
#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "hexadecimal.h"
#include "private_file.h"

#ifdef __APPLE__
#include <sys/random.h>
#endif

namespace townsfolk {
namespace {

[[noreturn]] void fail(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

bool write_all(int file, const std::string& content) {
  size_t written = 0;
  while (written < content.size()) {
    const ssize_t count = ::write(file, content.data() + written, content.size() - written);
    if (count < 0 && errno != EINTR) return false;
    if (count > 0) written += static_cast<size_t>(count);
  }
  return true;
}

}  // namespace

std::string random_token() {
  std::array<unsigned char, 32> bytes;
  if (getentropy(bytes.data(), bytes.size()) != 0) fail("the system gives no random numbers");
  return hexadecimal(bytes.data(), bytes.size());
}

void write_private_file(const std::filesystem::path& file, const std::string& content) {
  std::string scratch = file.string() + ".XXXXXX";
  const int handle = ::mkstemp(scratch.data());  // mode 0600
  if (handle < 0) fail("cannot write " + file.string());
  const bool written = write_all(handle, content);
  const bool closed = ::close(handle) == 0;
  if (written && closed && ::rename(scratch.c_str(), file.c_str()) == 0) return;
  const int reason = errno;
  ::unlink(scratch.c_str());
  errno = reason;
  fail("cannot write " + file.string());
}

}  // namespace townsfolk

#endif
