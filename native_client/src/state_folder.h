// The folder in which daemons of one user announce themselves and are started: that of `townsfolk.cli.state`.
#pragma once

#include <filesystem>
#include <string>

namespace townsfolk {

// `TOWNSFOLK_STATE_DIR`, else the user's own; as an absolute path. Empty if the user has none.
std::filesystem::path state_folder();

// The same, made for its owner alone if it was missing. Throws std::runtime_error with a sentence on why it cannot be.
std::filesystem::path make_state_folder();

// The first `limit` bytes of a file, or the last ones with `from_end`; "" if it cannot be read.
std::string read_bounded(const std::filesystem::path& file, size_t limit, bool from_end = false);

}  // namespace townsfolk
