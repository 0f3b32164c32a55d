// A game of these tests: one client, polled as a game would, that remembers what it was told.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "townsfolk_client.h"

namespace game {

using Clock = std::chrono::steady_clock;

constexpr auto kPatience = std::chrono::seconds(30);  // no test waits so long unless it fails

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

// What an event said of a story.
struct ToldStory {
  int32_t part = 0;
  uint32_t picture_index = 0;
  uint32_t step = 0;
  uint32_t total_steps = 0;
  uint32_t width = 0;
  uint32_t height = 0;
  uint32_t text_steps = 0;
  uint64_t seed = 0;
  bool has_picture = false;
  std::string id;
  std::string title;
  std::string media_type;
  std::string prompt;
};

// What an event said.
struct Told {
  explicit Told(const townsfolk_event& event);

  int32_t kind;
  int32_t status;
  int32_t connection;
  int32_t last;
  uint32_t dropped_events;
  std::string text;
  std::string session_id;
  std::string persona_id;
  std::string bytes;
  ToldStory story;
};

// The options of a client of the scripted daemon that TOWNSFOLK_TEST_ADDRESS names.
townsfolk_options in_town();
// The options of a client that finds nobody.
townsfolk_options nowhere();

class Game {
 public:
  explicit Game(const townsfolk_options& options);
  ~Game() { close(); }
  Game(const Game&) = delete;
  Game& operator=(const Game&) = delete;

  townsfolk_client* client() const { return client_; }
  void close();

  // Asks for a one-off line of a persona; in a session if one is given.
  townsfolk_request say(const char* persona_id, const char* text, const char* session_id = nullptr);

  // Takes what waits.
  void poll();
  // Polls until `enough` holds; false if it does not come to that.
  bool poll_until(const std::function<bool()>& enough);
  bool poll_until_connected(townsfolk_connection state = TOWNSFOLK_CONNECTION_READY);
  bool poll_until_ended(townsfolk_request request);

  // What was told of a request, in order; of 0: of none.
  const std::vector<Told>& told(townsfolk_request request) { return told_[request]; }
  int count(townsfolk_request request, townsfolk_event_kind kind);
  // How many of a request's events were its last.
  int ends(townsfolk_request request);
  // The latest event of a request.
  const Told& end(townsfolk_request request) { return told_[request].back(); }

 private:
  townsfolk_client* client_ = nullptr;
  std::map<townsfolk_request, std::vector<Told>> told_;
  int32_t connection_ = -1;
};

}  // namespace game
