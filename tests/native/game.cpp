#include "game.h"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

namespace game {

namespace {

ToldStory told_story(const townsfolk_story* given) {
  ToldStory told;
  if (given == nullptr) return told;
  told.part = given->part;
  told.picture_index = given->picture_index;
  told.step = given->step;
  told.total_steps = given->total_steps;
  told.width = given->width;
  told.height = given->height;
  told.text_steps = given->text_steps;
  told.seed = given->seed;
  told.has_picture = given->has_picture != 0;
  told.id = given->story_id;
  told.title = given->story_concept.title;
  told.media_type = given->media_type;
  told.prompt = given->prompt;
  return told;
}

}  // namespace

Told::Told(const townsfolk_event& event)
    : kind(event.kind),
      status(event.status),
      connection(event.connection),
      last(event.last),
      dropped_events(event.dropped_events),
      text(event.text),
      session_id(event.session_id),
      persona_id(event.persona_id),
      bytes(event.byte_count == 0 ? "" : std::string(reinterpret_cast<const char*>(event.bytes), event.byte_count)),
      story(told_story(event.story)) {}

townsfolk_options in_town() {
  const char* address = std::getenv("TOWNSFOLK_TEST_ADDRESS");
  if (address == nullptr) throw std::runtime_error("TOWNSFOLK_TEST_ADDRESS names no daemon; run these with pytest");
  townsfolk_options options{};
  options.struct_size = sizeof(options);
  options.address = address;
  return options;
}

townsfolk_options nowhere() {
  townsfolk_options options{};
  options.struct_size = sizeof(options);
  options.address = "127.0.0.1:1";
  return options;
}

Game::Game(const townsfolk_options& options) {
  if (townsfolk_connect(&options, &client_) != TOWNSFOLK_OK) throw std::runtime_error(townsfolk_last_error());
}

void Game::close() {
  townsfolk_close(client_);
  client_ = nullptr;
}

townsfolk_request Game::say(const char* persona_id, const char* text, const char* session_id) {
  townsfolk_say_options options{};
  options.struct_size = sizeof(options);
  options.persona_id = persona_id;
  options.text = text;
  options.session_id = session_id;
  return townsfolk_say(client_, &options);
}

void Game::poll() {
  while (const townsfolk_event* event = townsfolk_poll(client_)) {
    told_[event->request].emplace_back(*event);
    if (event->kind == TOWNSFOLK_EVENT_CONNECTION) connection_ = event->connection;
  }
}

bool Game::poll_until(const std::function<bool()>& enough) {
  const auto give_up = Clock::now() + kPatience;
  for (;;) {
    poll();
    if (enough()) return true;
    if (Clock::now() > give_up) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
}

bool Game::poll_until_connected(townsfolk_connection state) {
  return poll_until([&] { return connection_ == state; });
}

bool Game::poll_until_ended(townsfolk_request request) {
  return poll_until([&] { return ends(request) > 0; });
}

int Game::count(townsfolk_request request, townsfolk_event_kind kind) {
  const auto& all = told_[request];
  return static_cast<int>(std::count_if(all.begin(), all.end(), [&](const Told& event) { return event.kind == kind; }));
}

int Game::ends(townsfolk_request request) {
  const auto& all = told_[request];
  return static_cast<int>(std::count_if(all.begin(), all.end(), [](const Told& event) { return event.last != 0; }));
}

}  // namespace game
