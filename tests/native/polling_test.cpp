// A poll that finds nothing takes less than a microsecond and allocates nothing.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <vector>

#include "counted_allocations.h"
#include "game.h"

using game::Game;

namespace {

constexpr int kBatches = 101;
constexpr int kPollsOfABatch = 20'000;

// Of this thread, so that a busy machine does not count.
double cpu_seconds() {
#if defined(CLOCK_THREAD_CPUTIME_ID)
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
#else
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
#endif
}

// Median over batches of the CPU time of a poll that returns nothing, in nanoseconds.
double idle_poll_ns(Game& player) {
  std::vector<double> batches;
  while (batches.size() < kBatches) {
    int idle = 0;
    const double before = cpu_seconds();
    for (int i = 0; i < kPollsOfABatch; ++i) idle += townsfolk_poll(player.client()) == nullptr;
    const double took = cpu_seconds() - before;
    if (idle == kPollsOfABatch) batches.push_back(1e9 * took / kPollsOfABatch);
  }
  std::sort(batches.begin(), batches.end());
  return batches[batches.size() / 2];
}

// A client with an open line that waits for its next word.
void settle(Game& player) {
  ASSERT_TRUE(player.poll_until_connected());
  const auto line = player.say("smith", "Hold your tongue.");
  ASSERT_TRUE(player.poll_until([&] { return player.count(line, TOWNSFOLK_EVENT_SPEECH_DELTA) > 0; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  player.poll();
}

}  // namespace

TEST(Polling, WithNothingToSayTakesLessThanAMicrosecond) {
  Game player(game::in_town());
  ASSERT_NO_FATAL_FAILURE(settle(player));
  const double took_ns = idle_poll_ns(player);
  std::printf("idle poll: %.1f ns\n", took_ns);
  EXPECT_LT(took_ns, game::kSanitized ? 20'000 : 1'000);
}

TEST(Polling, WithNothingToSayAllocatesNothing) {
  if (!game::allocations_are_counted()) GTEST_SKIP() << "allocations cannot be counted here";
  Game player(game::in_town());
  ASSERT_NO_FATAL_FAILURE(settle(player));
  const auto before = game::allocations_of_this_thread();
  for (int i = 0; i < kPollsOfABatch; ++i) townsfolk_poll(player.client());
  EXPECT_EQ(game::allocations_of_this_thread(), before);
}

TEST(Polling, HandsOutAnEventWithoutAllocating) {
  if (!game::allocations_are_counted()) GTEST_SKIP() << "allocations cannot be counted here";
  Game player(game::in_town());
  ASSERT_TRUE(player.poll_until_connected());
  player.say("elf", "Hello.");
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  const auto before = game::allocations_of_this_thread();
  int events = 0;
  while (townsfolk_poll(player.client()) != nullptr) ++events;
  EXPECT_EQ(game::allocations_of_this_thread(), before);
  EXPECT_GT(events, 0);
}

TEST(Polling, CounterOfAllocationsCounts) {
  if (!game::allocations_are_counted()) GTEST_SKIP() << "allocations cannot be counted here";
  const auto before = game::allocations_of_this_thread();
  const auto text = std::make_unique<std::string>(1000, 'x');  // two: the object and its text
  void* volatile block = std::malloc(16);
  std::free(block);
  EXPECT_EQ(game::allocations_of_this_thread(), before + 3);
}

TEST(Polling, OfNoClientFindsNothing) { EXPECT_EQ(townsfolk_poll(nullptr), nullptr); }
