// Sessions and the lines in them.
#include <gtest/gtest.h>

#include <string>

#include "game.h"

using game::Game;

namespace {

townsfolk_request open_session(Game& player, const std::string& session_id, const char* persona_id = "smith") {
  townsfolk_session_options options{};
  options.struct_size = sizeof(options);
  options.session_id = session_id.c_str();
  options.persona_ids = &persona_id;
  options.persona_count = 1;
  return townsfolk_open_session(player.client(), &options);
}

}  // namespace

TEST(Sessions, ALineMayBeAskedForBeforeItsSessionIsOpen) {
  Game player(game::in_town());
  for (int i = 0; i < 50; ++i) {
    const std::string session = "eager-" + std::to_string(i);
    const auto opening = open_session(player, session);
    const auto line = player.say("smith", "Hello.", session.c_str());
    ASSERT_TRUE(player.poll_until_ended(opening));
    ASSERT_TRUE(player.poll_until_ended(line));
    EXPECT_EQ(player.end(line).text, "Hello yourself.");
    const auto closing = townsfolk_close_session(player.client(), session.c_str());
    ASSERT_TRUE(player.poll_until_ended(closing));
    EXPECT_EQ(player.end(closing).kind, TOWNSFOLK_EVENT_SESSION_CLOSED) << player.end(closing).text;
  }
}

TEST(Sessions, ALineOfASessionThatCouldNotBeOpenedIsRefused) {
  Game player(game::in_town());
  const auto opening = open_session(player, "empty", "nobody");
  const auto line = player.say("smith", "Hello.", "empty");
  ASSERT_TRUE(player.poll_until_ended(line));
  EXPECT_EQ(player.end(opening).status, TOWNSFOLK_NOT_FOUND);
  EXPECT_EQ(player.end(line).status, TOWNSFOLK_NOT_FOUND);
}
