#include "core.h"

#include "scene.h"

namespace townsfolk {

namespace {

// What may be the last event of something open, and the events that tell of losses.
constexpr std::size_t kMaxLastEvents = Core::kMaxRequests;

}  // namespace

Core::Core(Settings given)
    : settings(std::move(given)),
      events(settings.max_waiting_events, kMaxLastEvents),
      mailbox(calls.queue),
      sessions(*this),
      connection(*this) {
  thread_ = std::thread([this] { run(); });
  mailbox.post([this] { connection.start(); });
}

Core::~Core() {
  mailbox.post([this] {
    stopping_ = true;
    mailbox.close();
  });
  thread_.join();
}

void Core::add(std::unique_ptr<Request> request) {
  mailbox.post([this, request = std::move(request)]() mutable { take(std::move(request)); });
}

void Core::cancel(townsfolk_request id) {
  mailbox.post([this, id] {
    if (Request* request = find(id)) request->cancel();
  });
}

void Core::close_scene(townsfolk_request id) {
  mailbox.post([this, id] {
    if (Scene* open = scene(id)) open->close();
  });
}

void Core::take(std::unique_ptr<Request> request) {
  Request& taken = *request;
  requests_.emplace(taken.id(), std::move(request));
  taken.begin(*this);
  if (given_up_) taken.fail(*given_up_);
}

Request* Core::find(townsfolk_request id) {
  const auto found = requests_.find(id);
  return found == requests_.end() ? nullptr : found->second.get();
}

Scene* Core::scene(townsfolk_request id) { return dynamic_cast<Scene*>(find(id)); }

void Core::forget(Request& request) {
  const auto found = requests_.find(request.id());
  ended_.push_back(std::move(found->second));
  requests_.erase(found);
}

void Core::wake_all() {
  std::vector<Request*> all;
  for (const auto& [id, request] : requests_) all.push_back(request.get());
  for (Request* request : all) request->wake();  // one that has ended meanwhile is freed later
}

void Core::give_up(Failure why) {
  given_up_ = std::make_unique<Failure>(std::move(why));
  std::vector<Request*> all;
  for (const auto& [id, request] : requests_) all.push_back(request.get());
  for (Request* request : all) request->fail(*given_up_);
}

void Core::run() {
  void* tag = nullptr;
  bool ok = false;
  while (!stopping_) {
    if (calls.queue.AsyncNext(&tag, &ok, as_wall_clock(timers.next())) == grpc::CompletionQueue::GOT_EVENT) {
      static_cast<Completion*>(tag)->complete(ok);
    }
    timers.run_due();
    ended_.clear();
  }
  connection.stop();
  requests_.clear();
  calls.abandon_all();
  while (!calls.none() && calls.queue.Next(&tag, &ok)) static_cast<Completion*>(tag)->complete(ok);
  calls.queue.Shutdown();
  while (calls.queue.Next(&tag, &ok)) {
  }
}

}  // namespace townsfolk
