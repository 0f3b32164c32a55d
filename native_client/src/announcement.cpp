#include "announcement.h"

namespace townsfolk {

std::optional<Announcement> read_announcement() { return std::nullopt; }

}  // namespace townsfolk
