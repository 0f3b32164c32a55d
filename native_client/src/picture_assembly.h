// A picture whose bytes come in pieces, put together in the event that will show it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "event.h"
#include "townsfolk/v1/story.pb.h"

namespace townsfolk {

class PictureAssembly {
 public:
  static constexpr std::uint64_t kMostBytes = 16u << 20;

  // A picture of so many bytes follows. Returns whether that can be: one comes after the other, none is too large.
  bool begin(EventPtr event, std::uint64_t size_bytes, std::uint32_t picture_index);
  // Returns whether the piece is the one that had to come.
  bool add(const v1::PictureChunk& chunk);
  bool running() const { return event_ != nullptr; }
  bool complete() const { return event_ != nullptr && filled_ == event_->view.byte_count; }
  // The event of the picture that is complete.
  EventPtr take();

 private:
  EventPtr event_;
  std::uint8_t* bytes_ = nullptr;
  std::size_t filled_ = 0;
  std::uint32_t picture_index_ = 0;
};

}  // namespace townsfolk
