// The ring between the background thread and the caller's.
#include "event_queue.h"

#include <gtest/gtest.h>

#include <thread>

using namespace townsfolk;

namespace {

EventPtr numbered(townsfolk_request request) { return std::make_unique<Event>(TOWNSFOLK_EVENT_SPEECH_DELTA, request); }

}  // namespace

TEST(EventQueue, HandsOutInOrder) {
  EventQueue queue(8, 8);
  for (townsfolk_request i = 1; i <= 8; ++i) ASSERT_TRUE(queue.push_or_lose(numbered(i)));
  for (townsfolk_request i = 1; i <= 8; ++i) EXPECT_EQ(queue.pop()->view.request, i);
  EXPECT_EQ(queue.pop(), nullptr);
}

TEST(EventQueue, TellsOnceHowManyWereLost) {
  EventQueue queue(2, 2);
  for (townsfolk_request i = 1; i <= 5; ++i) queue.push_or_lose(numbered(i));
  EXPECT_EQ(queue.pop()->view.request, 1u);
  EXPECT_EQ(queue.pop()->view.request, 2u);
  const EventPtr loss = queue.pop();
  EXPECT_EQ(loss->view.kind, TOWNSFOLK_EVENT_ERROR);
  EXPECT_EQ(loss->view.request, 0u);
  EXPECT_EQ(loss->view.status, TOWNSFOLK_RESOURCE_EXHAUSTED);
  EXPECT_EQ(loss->view.dropped_events, 3u);
  EXPECT_EQ(queue.pop(), nullptr);
}

TEST(EventQueue, HasRoomForEveryLastEventWhenFull) {
  constexpr std::size_t kRequests = 100;
  EventQueue queue(1, kRequests);
  queue.push_or_lose(numbered(1));
  queue.push_or_lose(numbered(1));
  for (townsfolk_request i = 1; i <= kRequests; ++i) queue.push_last(numbered(i));
  std::size_t last = 0;
  while (const EventPtr event = queue.pop()) last += event->view.last != 0 ? 1 : 0;
  EXPECT_EQ(last, kRequests);
}

TEST(EventQueue, LosesNothingUntoldBetweenTwoThreads) {
  constexpr std::uint64_t kEvents = 200'000;
  EventQueue queue(64, 1);
  std::thread writer([&] {
    for (std::uint64_t i = 1; i <= kEvents; ++i) queue.push_or_lose(numbered(i));
    queue.push_last(numbered(kEvents + 1));
  });
  std::uint64_t taken = 0, lost = 0, before = 0;
  for (bool over = false; !over;) {
    const EventPtr event = queue.pop();
    if (!event) {
      std::this_thread::yield();
    } else if (event->view.last != 0) {
      over = true;
    } else if (event->view.request == 0) {
      lost += event->view.dropped_events;
    } else {
      EXPECT_GT(event->view.request, before);
      before = event->view.request;
      ++taken;
    }
  }
  writer.join();
  while (const EventPtr event = queue.pop()) lost += event->view.dropped_events;
  EXPECT_EQ(taken + lost, kEvents);
}
