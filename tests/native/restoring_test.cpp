// A daemon that this client launched is killed: the next one is launched, and open conversations go on in it.
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "game.h"

using game::Game;

namespace {

// Every daemon that was started has noted its process id in the file TOWNSFOLK_TEST_STARTS.
std::vector<pid_t> started() {
  std::ifstream file(std::getenv("TOWNSFOLK_TEST_STARTS"));
  std::vector<pid_t> pids;
  for (pid_t pid = 0; file >> pid;) pids.push_back(pid);
  return pids;
}

std::string spoken(Game& player, const char* session_id, const char* text) {
  const auto line = player.say("dwarf_smith", text, session_id);
  if (!player.poll_until_ended(line)) return "(no end)";
  const auto& end = player.end(line);
  return end.kind == TOWNSFOLK_EVENT_FINISHED ? end.text : "error: " + end.text;
}

townsfolk_request open_session(Game& player, const char* session_id) {
  const char* const personas[] = {"dwarf_smith"};
  townsfolk_session_options options{};
  options.struct_size = sizeof(options);
  options.session_id = session_id;
  options.persona_ids = personas;
  options.persona_count = 1;
  return townsfolk_open_session(player.client(), &options);
}

// Kills the latest daemon and waits for the next one.
void kill_daemon(Game& player, std::size_t started_so_far) {
  ASSERT_EQ(started().size(), started_so_far);
  ASSERT_EQ(kill(started().back(), SIGKILL), 0);
  ASSERT_TRUE(player.poll_until_connected(TOWNSFOLK_CONNECTION_LOST));
  ASSERT_TRUE(player.poll_until_connected());
  EXPECT_EQ(started().size(), started_so_far + 1);
}

}  // namespace

TEST(Restoring, OpenSessionsGoOnInTheNextDaemonAfterAKill) {
  townsfolk_options options{};
  options.struct_size = sizeof(options);
  options.launch = 1;
  Game player(options);
  ASSERT_TRUE(player.poll_until_connected());
  for (const char* session : {"market", "silent"}) {
    const auto opening = open_session(player, session);
    ASSERT_TRUE(player.poll_until_ended(opening));
    ASSERT_EQ(player.end(opening).kind, TOWNSFOLK_EVENT_SESSION_OPENED) << player.end(opening).text;
  }
  ASSERT_EQ(spoken(player, "market", "My name is Ada."), "Well met.");
  std::this_thread::sleep_for(std::chrono::seconds(1));  // it is saved a moment after the line

  ASSERT_NO_FATAL_FAILURE(kill_daemon(player, 1));
  EXPECT_EQ(spoken(player, "market", "Who am I?"), "Well met.");
  EXPECT_EQ(spoken(player, "silent", "Hello."), "Well met.");
  std::this_thread::sleep_for(std::chrono::seconds(1));
  ASSERT_NO_FATAL_FAILURE(kill_daemon(player, 2));  // what was said since the first restart is kept as well

  const auto saving = townsfolk_save_session(player.client(), "market");
  ASSERT_TRUE(player.poll_until_ended(saving));
  EXPECT_EQ(player.end(saving).kind, TOWNSFOLK_EVENT_SESSION_SAVED);
  std::ofstream(std::getenv("TOWNSFOLK_TEST_SAVE"), std::ios::binary) << player.end(saving).bytes;  // read outside
}
