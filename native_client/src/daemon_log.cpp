#include "daemon_log.h"

#include <sstream>
#include <system_error>
#include <vector>

#include "state_folder.h"

namespace townsfolk {
namespace fs = std::filesystem;
namespace {

constexpr size_t kTailBytes = 16 * 1024;
constexpr size_t kTailLines = 4;
constexpr size_t kMaxLineBytes = 1000;
constexpr char kErrorMark[] = "error: ";
constexpr char kReplacement[] = "\xEF\xBF\xBD";  // U+FFFD

bool continues(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

size_t sequence_length(char first) {
  const auto byte = static_cast<unsigned char>(first);
  if (byte < 0x80) return 1;
  if (byte >= 0xC2 && byte < 0xE0) return 2;
  if (byte >= 0xE0 && byte < 0xF0) return 3;
  return byte >= 0xF0 && byte < 0xF5 ? 4 : 0;
}

// The text with every byte replaced that belongs to no well-formed sequence, and every control character by a space.
std::string cleaned(const std::string& text) {
  std::string clean;
  for (size_t at = 0; at < text.size();) {
    const size_t length = sequence_length(text[at]);
    size_t whole = length > 0 ? 1 : 0;
    while (whole > 0 && whole < length && at + whole < text.size() && continues(text[at + whole])) ++whole;
    if (whole == 0 || whole < length) {
      clean += kReplacement;
      at += 1;
    } else {
      clean += length == 1 && static_cast<unsigned char>(text[at]) < 0x20 ? " " : text.substr(at, length);
      at += length;
    }
  }
  return clean;
}

std::string shortened(std::string line) {
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
  return line.size() <= kMaxLineBytes ? line : line.substr(0, kMaxLineBytes) + " ...";
}

}  // namespace

fs::path begin_daemon_log(const fs::path& state_folder) {
  fs::path log = state_folder / "daemon.log";
  std::error_code ignored;  // on Windows a daemon that still stops may hold it: then both write into one
  fs::rename(log, state_folder / "daemon.previous.log", ignored);
  return log;
}

std::string last_words(const fs::path& log) {
  std::istringstream tail(read_bounded(log, kTailBytes, /*from_end=*/true));
  std::vector<std::string> lines;
  std::string error;
  for (std::string line; std::getline(tail, line);) {
    line = shortened(line);
    if (line.empty()) continue;
    if (line.rfind(kErrorMark, 0) == 0) error = line.substr(sizeof kErrorMark - 1);
    lines.push_back(line);
  }
  if (!error.empty()) return cleaned(error);
  if (lines.empty()) return "it left no word";
  std::string words;
  for (size_t i = lines.size() - std::min(kTailLines, lines.size()); i < lines.size(); ++i) {
    words += (words.empty() ? "" : " | ") + lines[i];
  }
  return cleaned(words);
}

}  // namespace townsfolk
