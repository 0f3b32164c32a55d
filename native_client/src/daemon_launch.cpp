#include "daemon_launch.h"

namespace townsfolk {

LaunchResult ensure_daemon(const LaunchOptions&, const std::atomic<bool>&) {
  return {read_announcement(), "this library cannot launch a daemon", false};
}

}  // namespace townsfolk
