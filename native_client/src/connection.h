// The connection to the daemon: found, made, watched, made again.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "announcement.h"
#include "calls.h"
#include "daemon_launch.h"
#include "event.h"
#include "failure.h"
#include "foreign.pb.h"
#include "timers.h"
#include "townsfolk/v1/console.grpc.pb.h"
#include "townsfolk/v1/daemon.grpc.pb.h"
#include "townsfolk/v1/dialogue.grpc.pb.h"
#include "townsfolk/v1/persona.grpc.pb.h"
#include "townsfolk/v1/preview.grpc.pb.h"
#include "townsfolk/v1/session.grpc.pb.h"
#include "townsfolk/v1/story.grpc.pb.h"

namespace townsfolk {

class Core;

// The daemon's services on one channel.
struct Stubs {
  explicit Stubs(const std::shared_ptr<grpc::Channel>& channel);

  std::unique_ptr<v1::ConsoleService::Stub> console;
  std::unique_ptr<v1::DaemonService::Stub> daemon;
  std::unique_ptr<v1::DialogueService::Stub> dialogue;
  std::unique_ptr<v1::PersonaService::Stub> personas;
  std::unique_ptr<v1::PreviewService::Stub> preview;
  std::unique_ptr<v1::SessionService::Stub> sessions;
  std::unique_ptr<v1::StoryService::Stub> stories;
};

class Connection {
 public:
  explicit Connection(Core& core);

  void start();
  void stop();

  // Whether calls can be made.
  bool usable() const { return usable_; }
  // Whether lines can be asked for.
  bool serving() const { return usable_ && serving_; }
  // Grows with every connection made.
  std::uint64_t generation() const { return generation_; }
  // Only while there is a connection.
  const Stubs& stubs() const { return *stubs_; }
  // Why there is none, or "".
  std::string trouble() const;

 private:
  using HealthCall = BidiCall<foreign::HealthCheckRequest, foreign::HealthCheckResponse>;

  void find_daemon();
  void launch();
  void launched(const LaunchResult& result);
  void connect(const Announcement& daemon);
  void watch_health(const std::shared_ptr<grpc::Channel>& channel);
  void heard_health(bool serving);
  void knock();
  void knocked(const grpc::Status& status);
  void restored();
  void lose(const std::string& why);
  bool dies_again_and_again();
  std::string last_words_of_daemon() const;
  void fail(int status, const std::string& why);
  void tell(townsfolk_connection state, const std::string& why);
  void say_what_is_unsaid();

  Core& core_;
  const bool announced_;  // no address was given: the daemon may be elsewhere next time
  Announcement daemon_;
  std::unique_ptr<Stubs> stubs_;
  CallHandle health_call_;
  CallHandle knock_call_;
  Timer retry_timer_;
  Timer patience_timer_;
  Timer launching_timer_;
  Timer unsaid_timer_;
  EventPtr unsaid_;
  std::thread launcher_;
  std::atomic<bool> stop_launcher_{false};
  Clock::duration pause_;
  Clock::time_point launched_at_{};
  int quick_deaths_ = 0;  // in a row, of daemons that were launched or found to have been
  std::optional<townsfolk_connection> told_;
  std::string trouble_;
  std::uint64_t generation_ = 0;
  bool heard_ = false;
  bool usable_ = false;
  bool serving_ = false;
  bool failed_ = false;
};

}  // namespace townsfolk
