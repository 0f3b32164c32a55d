#pragma once

#include <atomic>
#include <string>

namespace townsfolk {

// Whether something listens at "host:port", "[::1]:port" or "unix:/path". Waits a second at most, and no longer than
// until `stop` is set. A host that is a name is taken to listen: looking it up could take long.
bool listens(const std::string& address, const std::atomic<bool>& stop);

}  // namespace townsfolk
