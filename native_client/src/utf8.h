// Text that callers hand in.
#pragma once

#include <string_view>

namespace townsfolk {

// Well-formed UTF-8 as of RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view text);

}  // namespace townsfolk
