// Pictures put together of their pieces, and what is refused.
#include "picture_assembly.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

using townsfolk::Event;
using townsfolk::EventPtr;
using townsfolk::PictureAssembly;

namespace {

EventPtr picture() { return std::make_unique<Event>(TOWNSFOLK_EVENT_PICTURE, 1); }

townsfolk::v1::PictureChunk chunk(std::uint64_t offset, const std::string& data, std::uint32_t picture_index = 0) {
  townsfolk::v1::PictureChunk made;
  made.set_offset(offset);
  made.set_data(data);
  made.set_picture_index(picture_index);
  return made;
}

}  // namespace

TEST(PictureAssembly, PiecesBecomeOneEvent) {
  PictureAssembly assembly;
  ASSERT_TRUE(assembly.begin(picture(), 10, 2));
  EXPECT_TRUE(assembly.add(chunk(0, "01234", 2)));
  EXPECT_FALSE(assembly.complete());
  EXPECT_TRUE(assembly.add(chunk(5, "56789", 2)));
  ASSERT_TRUE(assembly.complete());
  const EventPtr event = assembly.take();
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(event->view.bytes), event->view.byte_count), "0123456789");
  EXPECT_FALSE(assembly.running());
}

TEST(PictureAssembly, OnePictureFollowsAnother) {
  PictureAssembly assembly;
  ASSERT_TRUE(assembly.begin(picture(), 1, 0));
  EXPECT_FALSE(assembly.begin(picture(), 1, 1));
  EXPECT_TRUE(assembly.add(chunk(0, "a", 0)));
  assembly.take();
  EXPECT_TRUE(assembly.begin(picture(), 1, 1));
}

TEST(PictureAssembly, SizesThatCannotBeAreRefused) {
  PictureAssembly assembly;
  EXPECT_FALSE(assembly.begin(picture(), 0, 0));
  EXPECT_FALSE(assembly.begin(picture(), PictureAssembly::kMostBytes + 1, 0));
  EXPECT_FALSE(assembly.begin(picture(), ~std::uint64_t{0}, 0));
  EXPECT_FALSE(assembly.running());
  EXPECT_TRUE(assembly.begin(picture(), PictureAssembly::kMostBytes, 0));
}

TEST(PictureAssembly, PiecesThatDoNotFitAreRefused) {
  PictureAssembly assembly;
  EXPECT_FALSE(assembly.add(chunk(0, "a")));
  ASSERT_TRUE(assembly.begin(picture(), 4, 0));
  EXPECT_FALSE(assembly.add(chunk(1, "a")));
  EXPECT_FALSE(assembly.add(chunk(0, "abcde")));
  EXPECT_FALSE(assembly.add(chunk(0, "")));
  EXPECT_FALSE(assembly.add(chunk(0, "a", 1)));
  EXPECT_TRUE(assembly.add(chunk(0, "ab")));
  EXPECT_FALSE(assembly.add(chunk(0, "ab")));
  EXPECT_FALSE(assembly.add(chunk(2, "cde")));
  EXPECT_TRUE(assembly.add(chunk(2, "cd")));
  EXPECT_TRUE(assembly.complete());
}
