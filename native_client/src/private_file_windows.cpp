#ifdef _WIN32
#define _CRT_RAND_S  // before stdlib.h: declares rand_s, which asks the system's generator
#include <stdlib.h>
#include <windows.h>

#include <array>
#include <cstring>
#include <system_error>

#include "hexadecimal.h"
#include "private_file.h"

namespace townsfolk {
namespace {

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(static_cast<int>(GetLastError()), std::system_category(), what);
}

}  // namespace

std::string random_token() {
  std::array<unsigned char, 32> bytes;
  for (size_t i = 0; i < bytes.size(); i += sizeof(unsigned int)) {
    unsigned int number = 0;
    if (rand_s(&number) != 0) fail("the system gives no random numbers");
    std::memcpy(bytes.data() + i, &number, sizeof number);
  }
  return hexadecimal(bytes.data(), bytes.size());
}

void write_private_file(const std::filesystem::path& file, const std::string& content) {
  const std::filesystem::path scratch = std::filesystem::path(file) += ".new";
  const HANDLE handle =
      CreateFileW(scratch.c_str(), GENERIC_WRITE, 0, nullptr, CREATE_ALWAYS, FILE_ATTRIBUTE_NORMAL, nullptr);
  if (handle == INVALID_HANDLE_VALUE) fail("cannot write " + file.u8string());
  DWORD written = 0;
  const bool complete = WriteFile(handle, content.data(), static_cast<DWORD>(content.size()), &written, nullptr) &&
                        written == content.size();
  CloseHandle(handle);
  if (!complete || !MoveFileExW(scratch.c_str(), file.c_str(), MOVEFILE_REPLACE_EXISTING)) {
    fail("cannot write " + file.u8string());
  }
}

}  // namespace townsfolk

#endif
