// Events that nobody polls: the loss is told, and every request still ends.
#include <gtest/gtest.h>

#include <vector>

#include "game.h"

using game::Game;

namespace {

constexpr uint32_t kMayWait = 16;

// The engine speaks all lines in step: when a line that was asked for later has ended, so have those before it.
void let_the_town_speak() {
  Game witness(game::in_town());
  ASSERT_TRUE(witness.poll_until_connected());
  ASSERT_TRUE(witness.poll_until_ended(witness.say("monk", "Tell me all.")));
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
}

}  // namespace

TEST(Overflow, IsToldAndEveryRequestStillEnds) {
  auto options = game::in_town();
  options.max_waiting_events = kMayWait;
  Game player(options);
  ASSERT_TRUE(player.poll_until_connected());

  std::vector<townsfolk_request> lines, calls;
  for (int i = 0; i < 8; ++i) lines.push_back(player.say("elf", "Tell me all."));
  ASSERT_NO_FATAL_FAILURE(let_the_town_speak());
  for (int i = 0; i < 100; ++i) calls.push_back(townsfolk_list_personas(player.client()));
  ASSERT_NO_FATAL_FAILURE(let_the_town_speak());

  for (const auto request : lines) ASSERT_TRUE(player.poll_until_ended(request)) << request;
  for (const auto request : calls) ASSERT_TRUE(player.poll_until_ended(request)) << request;
  player.poll();

  int cut = 0;
  for (const auto line : lines) {
    EXPECT_EQ(player.ends(line), 1);
    if (player.end(line).kind == TOWNSFOLK_EVENT_FINISHED) continue;
    EXPECT_EQ(player.end(line).status, TOWNSFOLK_RESOURCE_EXHAUSTED);
    EXPECT_NE(player.end(line).text, "");
    ++cut;
  }
  EXPECT_GT(cut, 0);
  for (const auto call : calls) {
    EXPECT_EQ(player.ends(call), 1);
    EXPECT_EQ(player.end(call).kind, TOWNSFOLK_EVENT_PERSONAS);
  }
  uint32_t dropped = 0;
  for (const auto& told : player.told(0)) {
    if (told.kind != TOWNSFOLK_EVENT_ERROR) continue;
    EXPECT_EQ(told.status, TOWNSFOLK_RESOURCE_EXHAUSTED);
    dropped += told.dropped_events;
  }
  EXPECT_GT(dropped, 0u);
}

TEST(Overflow, LeavesTheClientInOrder) {
  auto options = game::in_town();
  options.max_waiting_events = kMayWait;
  Game player(options);
  ASSERT_TRUE(player.poll_until_connected());
  const auto cut = player.say("elf", "Tell me all.");
  ASSERT_NO_FATAL_FAILURE(let_the_town_speak());
  ASSERT_TRUE(player.poll_until_ended(cut));
  ASSERT_EQ(player.end(cut).status, TOWNSFOLK_RESOURCE_EXHAUSTED);
  const auto line = player.say("elf", "Hello.");
  ASSERT_TRUE(player.poll_until_ended(line));
  EXPECT_EQ(player.end(line).text, "Hello yourself.");
}

TEST(Overflow, OfRequestsIsRefusedWithASentence) {
  Game player(game::nowhere());
  std::vector<townsfolk_request> open;
  for (townsfolk_request request; (request = townsfolk_list_personas(player.client())) != 0;) open.push_back(request);
  EXPECT_EQ(open.size(), 4096u);
  EXPECT_NE(std::string(townsfolk_last_error()).find("poll until some have ended"), std::string::npos);
  for (const auto request : open) ASSERT_EQ(townsfolk_cancel(player.client(), request), 1);
  for (const auto request : open) ASSERT_TRUE(player.poll_until_ended(request)) << request;
  for (const auto request : open) {
    EXPECT_EQ(player.ends(request), 1);
    EXPECT_EQ(player.end(request).status, TOWNSFOLK_CANCELLED);
  }
  EXPECT_NE(townsfolk_list_personas(player.client()), 0u);
}
