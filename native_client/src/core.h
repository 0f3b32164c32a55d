// What runs on a client's background thread: its connection, its requests, their calls. Nothing in here is touched by
// another thread, but for the mailbox and the event queue.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "calls.h"
#include "connection.h"
#include "event_queue.h"
#include "mailbox.h"
#include "request.h"
#include "session_keeper.h"
#include "settings.h"
#include "timers.h"
#include "turn_names.h"

namespace townsfolk {

class Scene;

class Core {
 public:
  // Requests of one client that may be open at a time.
  static constexpr std::size_t kMaxRequests = 4096;

  explicit Core(Settings settings);
  // Cancels everything and waits for the thread; takes a few milliseconds.
  ~Core();

  // ── for the caller's thread ──

  void add(std::unique_ptr<Request> request);
  void cancel(townsfolk_request request);
  void close_scene(townsfolk_request scene);

  // ── for the background thread ──

  // The request has sent its last event.
  void forget(Request& request);
  // Null once it has ended.
  Scene* scene(townsfolk_request id);
  // Sends what waits.
  void wake_all();
  // Ends every request, and from now on each that comes.
  void give_up(Failure why);

  const Settings settings;
  EventQueue events;
  Calls calls;
  Timers timers;
  Mailbox mailbox;
  TurnNames turn_names;
  std::multiset<std::string> opening_sessions;  // their lines wait for them
  SessionKeeper sessions;
  Connection connection;

 private:
  void run();
  void take(std::unique_ptr<Request> request);
  Request* find(townsfolk_request id);

  std::map<townsfolk_request, std::unique_ptr<Request>> requests_;  // in the order they were made
  std::vector<std::unique_ptr<Request>> ended_;  // freed when nothing of theirs is on the stack any more
  std::unique_ptr<Failure> given_up_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace townsfolk
