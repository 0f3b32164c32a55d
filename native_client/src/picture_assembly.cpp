#include "picture_assembly.h"

#include <cstring>

namespace townsfolk {

bool PictureAssembly::begin(EventPtr event, std::uint64_t size_bytes, std::uint32_t picture_index) {
  if (running() || size_bytes == 0 || size_bytes > kMostBytes) return false;
  filled_ = 0;
  picture_index_ = picture_index;
  event_ = std::move(event);
  event_->view.byte_count = static_cast<std::size_t>(size_bytes);
  event_->view.bytes = bytes_ = event_->array<std::uint8_t>(event_->view.byte_count);
  return true;
}

bool PictureAssembly::add(const v1::PictureChunk& chunk) {
  if (!running() || chunk.picture_index() != picture_index_ || chunk.offset() != filled_) return false;
  const std::string& data = chunk.data();
  if (data.empty() || data.size() > event_->view.byte_count - filled_) return false;
  std::memcpy(bytes_ + filled_, data.data(), data.size());
  filled_ += data.size();
  return true;
}

EventPtr PictureAssembly::take() { return std::move(event_); }

}  // namespace townsfolk
