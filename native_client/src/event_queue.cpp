#include "event_queue.h"

namespace townsfolk {

namespace {

std::size_t power_of_two_from(std::size_t least) {
  std::size_t size = 1;
  while (size < least) size *= 2;
  return size;
}

bool tells_of_losses(const Event& event) { return event.view.kind == TOWNSFOLK_EVENT_ERROR && event.view.request == 0; }

EventPtr loss_event() {
  auto event = std::make_unique<Event>(TOWNSFOLK_EVENT_ERROR, 0);
  event->view.status = TOWNSFOLK_RESOURCE_EXHAUSTED;
  event->set_text("events were lost because too many waited; poll until nothing comes, once a frame");
  return event;
}

}  // namespace

EventQueue::EventQueue(std::size_t max_waiting, std::size_t max_last)
    : max_waiting_(max_waiting),
      ring_(power_of_two_from(max_waiting + max_last + 1)),  // 1: what tells of losses
      mask_(ring_.size() - 1) {}

std::size_t EventQueue::waiting() const {
  return written_.load(std::memory_order_relaxed) - read_.load(std::memory_order_acquire);
}

void EventQueue::put(EventPtr event) {
  const auto place = written_.load(std::memory_order_relaxed);
  ring_[place & mask_] = std::move(event);
  written_.store(place + 1, std::memory_order_release);
}

bool EventQueue::try_push(EventPtr& event) {
  if (waiting() >= max_waiting_) return false;
  put(std::move(event));
  return true;
}

bool EventQueue::push_or_lose(EventPtr event) {
  if (try_push(event)) return true;
  lost_.fetch_add(1);
  if (!loss_told_.exchange(true)) put(loss_event());
  return false;
}

void EventQueue::push_last(EventPtr event) {
  event->view.last = 1;
  put(std::move(event));
}

EventPtr EventQueue::take() {
  const auto place = read_.load(std::memory_order_relaxed);
  if (place == written_.load(std::memory_order_acquire)) return nullptr;
  EventPtr event = std::move(ring_[place & mask_]);
  read_.store(place + 1, std::memory_order_release);
  return event;
}

EventPtr EventQueue::pop() {
  while (EventPtr event = take()) {
    if (!tells_of_losses(*event)) return event;
    loss_told_.store(false);
    event->view.dropped_events = lost_.exchange(0);
    if (event->view.dropped_events > 0) return event;
  }
  return nullptr;
}

}  // namespace townsfolk
