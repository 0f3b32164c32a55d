// Windows speaks UTF-16, everything of ours UTF-8. Text that is neither becomes U+FFFD.
#pragma once

#include <string>
#include <string_view>

namespace townsfolk {

std::wstring to_utf16(std::string_view utf8);
std::string to_utf8(std::wstring_view utf16);

}  // namespace townsfolk
