// Stories with pictures.
#include <gtest/gtest.h>

#include <string>

#include "game.h"

using game::Game;
using game::Told;

namespace {

const std::string kStory = "Ines lit the lamp. \xF0\x9F\x9A\xA2";
const std::string kPngBegins = "\x89PNG\r\n\x1a\n";
constexpr std::size_t kOnePiece = 256 * 1024;

townsfolk_compose_options of_idea(const char* idea, uint32_t pictures = 1) {
  townsfolk_compose_options options{};
  options.struct_size = sizeof(options);
  options.idea = idea;
  options.picture_count = pictures;
  options.picture_width = 64;
  options.picture_height = 96;
  options.has_picture_seed = 1;
  options.picture_seed = 70;
  return options;
}

std::string text_of(Game& player, townsfolk_request request, int32_t part) {
  std::string text;
  for (const Told& event : player.told(request)) {
    if (event.kind == TOWNSFOLK_EVENT_STORY_DELTA && event.story.part == part) text += event.text;
  }
  return text;
}

const Told* find(Game& player, townsfolk_request request, townsfolk_event_kind kind, int32_t part) {
  for (const Told& event : player.told(request)) {
    if (event.kind == kind && event.story.part == part) return &event;
  }
  return nullptr;
}

}  // namespace

TEST(Compose, AnIdeaBecomesAStoryWithAPicture) {
  Game player(game::in_town());
  const auto options = of_idea("A light.");
  const auto request = townsfolk_compose(player.client(), &options);
  ASSERT_TRUE(player.poll_until_ended(request));
  const Told& end = player.end(request);
  ASSERT_EQ(end.kind, TOWNSFOLK_EVENT_STORY_FINISHED) << end.text;
  EXPECT_EQ(end.text, kStory);
  EXPECT_TRUE(end.story.has_picture);
  EXPECT_GT(end.story.text_steps, 0u);
  EXPECT_FALSE(end.story.id.empty());

  const Told* about = find(player, request, TOWNSFOLK_EVENT_STORY_PART_FINISHED, TOWNSFOLK_STORY_PART_CONCEPT);
  ASSERT_NE(about, nullptr);
  EXPECT_EQ(about->story.title, "Das alte Licht");
  EXPECT_EQ(text_of(player, request, TOWNSFOLK_STORY_PART_CONCEPT), about->text);
  EXPECT_EQ(text_of(player, request, TOWNSFOLK_STORY_PART_STORY), kStory);
  EXPECT_EQ(text_of(player, request, TOWNSFOLK_STORY_PART_PICTURE_PROMPT), "a lighthouse at night");
  const Told* writer = find(player, request, TOWNSFOLK_EVENT_STORY_PART_STARTED, TOWNSFOLK_STORY_PART_STORY);
  ASSERT_NE(writer, nullptr);
  EXPECT_EQ(writer->persona_id, "story_writer");
}

TEST(Compose, APictureComesAsAWholeAfterItsProgress) {
  Game player(game::in_town());
  const auto options = of_idea("A light.", 2);
  const auto request = townsfolk_compose(player.client(), &options);
  ASSERT_TRUE(player.poll_until_ended(request));
  ASSERT_EQ(player.count(request, TOWNSFOLK_EVENT_PICTURE), 2) << player.end(request).text;
  uint32_t pictures = 0;
  uint32_t step = 0;
  for (const Told& event : player.told(request)) {
    EXPECT_EQ(event.story.id, player.end(request).story.id);
    if (event.kind == TOWNSFOLK_EVENT_PICTURE_PROGRESS) {
      EXPECT_EQ(event.story.picture_index, pictures);
      EXPECT_GT(event.story.step, step);
      EXPECT_EQ(event.story.total_steps, 4u);
      step = event.story.step;
    }
    if (event.kind != TOWNSFOLK_EVENT_PICTURE) continue;
    EXPECT_GT(step, 0u);
    EXPECT_LE(step, 4u);
    step = 0;
    EXPECT_EQ(event.story.picture_index, pictures);
    EXPECT_EQ(event.story.seed, 70 + pictures);
    EXPECT_EQ(event.story.media_type, "image/png");
    EXPECT_EQ(event.story.width, 64u);
    EXPECT_EQ(event.story.height, 96u);
    EXPECT_NE(event.story.prompt.find("a lighthouse at night"), std::string::npos);
    EXPECT_GT(event.bytes.size(), 2 * kOnePiece);
    EXPECT_EQ(event.bytes.substr(0, kPngBegins.size()), kPngBegins);
    EXPECT_EQ(event.bytes.substr(event.bytes.size() - 8, 4), "IEND");
    ++pictures;
  }
}

TEST(Compose, APictureThatFailsDoesNotLoseTheStory) {
  Game player(game::in_town());
  const auto options = of_idea("No picture.");
  const auto request = townsfolk_compose(player.client(), &options);
  ASSERT_TRUE(player.poll_until_ended(request));
  const Told* failed = find(player, request, TOWNSFOLK_EVENT_STORY_PART_FAILED, TOWNSFOLK_STORY_PART_PICTURE);
  ASSERT_NE(failed, nullptr);
  EXPECT_EQ(failed->status, TOWNSFOLK_UNAVAILABLE);
  EXPECT_EQ(failed->text, "the brush is gone");
  EXPECT_EQ(player.end(request).kind, TOWNSFOLK_EVENT_STORY_FINISHED);
  EXPECT_EQ(player.end(request).text, kStory);
  EXPECT_FALSE(player.end(request).story.has_picture);
}

TEST(Compose, AnEarlierConceptIsWrittenAnew) {
  Game player(game::in_town());
  const townsfolk_story_concept earlier{"Das alte Licht", "Ines", "the lamp shows sunken ships", "a rock"};
  auto options = of_idea(nullptr, 0);
  options.story_concept = &earlier;
  options.wish = "darker";
  const auto request = townsfolk_compose(player.client(), &options);
  ASSERT_TRUE(player.poll_until_ended(request));
  EXPECT_EQ(player.end(request).kind, TOWNSFOLK_EVENT_STORY_FINISHED) << player.end(request).text;
  EXPECT_EQ(text_of(player, request, TOWNSFOLK_STORY_PART_CONCEPT), "");
  EXPECT_EQ(player.count(request, TOWNSFOLK_EVENT_PICTURE), 0);
}

TEST(Compose, ACancelledStoryEndsAtOnce) {
  Game player(game::in_town());
  const auto options = of_idea("No end.");
  const auto request = townsfolk_compose(player.client(), &options);
  ASSERT_TRUE(player.poll_until([&] { return text_of(player, request, TOWNSFOLK_STORY_PART_STORY) == "And"; }));
  EXPECT_EQ(townsfolk_cancel(player.client(), request), 1);
  ASSERT_TRUE(player.poll_until_ended(request));
  EXPECT_EQ(player.end(request).kind, TOWNSFOLK_EVENT_ERROR);
  EXPECT_EQ(player.end(request).status, TOWNSFOLK_CANCELLED);
  EXPECT_EQ(player.ends(request), 1);
}

TEST(Compose, AStoryEndsAtItsDeadline) {
  Game player(game::in_town());
  auto options = of_idea("No end.");
  options.deadline_s = 0.5;
  const auto request = townsfolk_compose(player.client(), &options);
  ASSERT_TRUE(player.poll_until_ended(request));
  EXPECT_EQ(player.end(request).status, TOWNSFOLK_DEADLINE_EXCEEDED) << player.end(request).text;
}

TEST(Compose, WhatTheDaemonRefusesIsAnErrorWithItsSentence) {
  Game player(game::in_town());
  auto options = of_idea("A light.");
  options.narrator_persona_id = "nobody";
  const auto request = townsfolk_compose(player.client(), &options);
  ASSERT_TRUE(player.poll_until_ended(request));
  EXPECT_EQ(player.end(request).status, TOWNSFOLK_NOT_FOUND);
  EXPECT_FALSE(player.end(request).text.empty());
}

TEST(Compose, OptionsThatCannotBeRightAreRefused) {
  Game player(game::nowhere());
  const auto refusal = [&](const townsfolk_compose_options& options) {
    EXPECT_EQ(townsfolk_compose(player.client(), &options), 0u);
    return std::string(townsfolk_last_error());
  };
  EXPECT_EQ(refusal(of_idea(nullptr)), "idea or story_concept must be given");
  EXPECT_EQ(refusal(of_idea("\xFF")), "idea is not UTF-8");
  auto options = of_idea("A light.");
  options.deadline_s = 3601;
  EXPECT_EQ(refusal(options), "deadline_s of a story must be at most 3600");
  options = of_idea("A light.");
  options.cast_count = 9;
  EXPECT_EQ(refusal(options), "a story has a cast of at most 8");
  options.cast_count = 1;
  EXPECT_EQ(refusal(options), "cast_persona_ids is NULL");
  EXPECT_EQ(refusal(of_idea("A light.", 5)), "a story has at most 4 pictures");
  options = of_idea("A light.");
  options.struct_size = 0;
  EXPECT_NE(refusal(options).find("struct_size"), std::string::npos);
  EXPECT_EQ(townsfolk_compose(player.client(), nullptr), 0u);
}
