// A game loop of 60 frames a second with talking characters, and what polling costs it.
//
//   game_loop CHARACTERS SECONDS   prints figures as one line of JSON; TOWNSFOLK_ADDRESS names the daemon
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "counted_allocations.h"
#include "townsfolk_client.h"

namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kFrame = std::chrono::microseconds(16'667);
constexpr auto kPatience = std::chrono::seconds(60);
constexpr auto kQuiet = std::chrono::milliseconds(500);  // for what is on its way when the talk has ended
constexpr const char* kPersonas[] = {"dwarf_smith", "forest_elf", "old_knight", "court_herald"};

double thread_cpu_us() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

double since_us(Clock::time_point then) {
  return std::chrono::duration<double, std::micro>(Clock::now() - then).count();
}

struct Figures {
  double longest_poll_cpu_us = 0, longest_poll_wall_us = 0;
  double longest_frame_cpu_us = 0, longest_frame_wall_us = 0;
  double longest_say_cpu_us = 0;
  int frames = 0, events = 0, lines = 0, errors = 0, most_events_in_a_frame = 0, most_talking = 0;
  uint64_t poll_allocations = 0, say_allocations = 0;
};

class GameLoop {
 public:
  explicit GameLoop(size_t characters) : characters_(characters) {
    townsfolk_options options{};
    options.struct_size = sizeof options;
    if (townsfolk_connect(&options, &client_) != TOWNSFOLK_OK) throw std::runtime_error(townsfolk_last_error());
  }
  ~GameLoop() { townsfolk_close(client_); }
  GameLoop(const GameLoop&) = delete;
  GameLoop& operator=(const GameLoop&) = delete;

  // One frame after the other, on time, until there was enough of them.
  Figures run(const std::function<bool()>& enough) {
    figures_ = {};
    for (auto next = Clock::now(); !enough(); next += kFrame) {
      std::this_thread::sleep_until(next);
      frame();
    }
    return figures_;
  }

  void let_all_talk(bool on) { talk_ = on; }
  bool ready() const { return ready_; }
  bool nobody_talks() const { return talking_.empty(); }

 private:
  void frame() {
    const double cpu = thread_cpu_us();
    const auto began = Clock::now();
    int events = 0;
    while (const townsfolk_event* event = polled()) {
      hear(*event);
      ++events;
    }
    figures_.longest_frame_cpu_us = std::max(figures_.longest_frame_cpu_us, thread_cpu_us() - cpu);
    figures_.longest_frame_wall_us = std::max(figures_.longest_frame_wall_us, since_us(began));
    figures_.most_events_in_a_frame = std::max(figures_.most_events_in_a_frame, events);
    figures_.events += events;
    ++figures_.frames;
    while (talk_ && talking_.size() < characters_) say();
    figures_.most_talking = std::max(figures_.most_talking, static_cast<int>(talking_.size()));
  }

  const townsfolk_event* polled() {
    const uint64_t allocations = game::allocations_of_this_thread();
    const auto began = Clock::now();
    const double cpu = thread_cpu_us();
    const townsfolk_event* event = townsfolk_poll(client_);
    figures_.longest_poll_cpu_us = std::max(figures_.longest_poll_cpu_us, thread_cpu_us() - cpu);
    figures_.longest_poll_wall_us = std::max(figures_.longest_poll_wall_us, since_us(began));
    figures_.poll_allocations += game::allocations_of_this_thread() - allocations;
    return event;
  }

  void hear(const townsfolk_event& event) {
    if (event.kind == TOWNSFOLK_EVENT_CONNECTION) ready_ = event.connection == TOWNSFOLK_CONNECTION_READY;
    if (event.kind == TOWNSFOLK_EVENT_ERROR) ++figures_.errors;
    if (event.kind == TOWNSFOLK_EVENT_FINISHED) ++figures_.lines;
    if (event.last != 0) talking_.erase(event.request);
  }

  void say() {
    townsfolk_say_options options{};
    options.struct_size = sizeof options;
    options.persona_id = kPersonas[asked_++ % (sizeof kPersonas / sizeof *kPersonas)];
    options.text = "What news from the harbour?";
    const uint64_t allocations = game::allocations_of_this_thread();
    const double cpu = thread_cpu_us();
    const townsfolk_request request = townsfolk_say(client_, &options);
    figures_.longest_say_cpu_us = std::max(figures_.longest_say_cpu_us, thread_cpu_us() - cpu);
    figures_.say_allocations += game::allocations_of_this_thread() - allocations;
    if (request == 0) throw std::runtime_error(townsfolk_last_error());
    talking_[request] = asked_;
  }

  townsfolk_client* client_ = nullptr;
  const size_t characters_;
  size_t asked_ = 0;
  bool talk_ = false, ready_ = false;
  std::map<townsfolk_request, size_t> talking_;
  Figures figures_;
};

std::function<bool()> after(Clock::duration time) {
  return [until = Clock::now() + time] { return Clock::now() >= until; };
}

std::function<bool()> until(const std::function<bool()>& condition) {
  return [condition, give_up = Clock::now() + kPatience] {
    if (Clock::now() > give_up) throw std::runtime_error("the daemon is silent");
    return condition();
  };
}

void print(const char* name, const Figures& figures, const char* end) {
  std::printf(
      "\"%s\": {\"frames\": %d, \"events\": %d, \"lines\": %d, \"errors\": %d, \"most_talking\": %d, "
      "\"most_events_in_a_frame\": %d, \"longest_poll_cpu_us\": %.1f, \"longest_poll_wall_us\": %.1f, "
      "\"longest_frame_cpu_us\": %.1f, \"longest_frame_wall_us\": %.1f, \"longest_say_cpu_us\": %.1f, "
      "\"poll_allocations\": %llu, \"say_allocations\": %llu}%s",
      name, figures.frames, figures.events, figures.lines, figures.errors, figures.most_talking,
      figures.most_events_in_a_frame, figures.longest_poll_cpu_us, figures.longest_poll_wall_us,
      figures.longest_frame_cpu_us, figures.longest_frame_wall_us, figures.longest_say_cpu_us,
      static_cast<unsigned long long>(figures.poll_allocations),
      static_cast<unsigned long long>(figures.say_allocations), end);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) return 2;
  const auto time = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(std::atof(arguments[2])));
  try {
    GameLoop game(static_cast<size_t>(std::atoi(arguments[1])));
    game.run(until([&] { return game.ready(); }));
    game.let_all_talk(true);
    const Figures talking = game.run(after(time));
    game.let_all_talk(false);
    game.run(until([&] { return game.nobody_talks(); }));
    game.run(after(kQuiet));
    const Figures idle = game.run(after(time / 5));
    std::printf("{\"counts_allocations\": %s, ", game::allocations_are_counted() ? "true" : "false");
    print("talking", talking, ", ");
    print("idle", idle, "}\n");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
