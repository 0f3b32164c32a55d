// One request of the caller, from its number to its last event. Lives on the background thread.
#pragma once

#include <optional>

#include "clock.h"
#include "event.h"
#include "failure.h"
#include "timers.h"

namespace townsfolk {

class Core;

// By which gRPC's deadline of a call is later than the request's own, whose timer tells more of why.
constexpr auto kDeadlineGrace = std::chrono::seconds(1);

class Request {
 public:
  // `limit_s`: seconds until it must have ended, counted from now; 0: as long as it likes.
  Request(townsfolk_request id, double limit_s);
  virtual ~Request() = default;
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  townsfolk_request id() const { return id_; }

  // Called once, by the core that has taken it: sends it now, or waits for a connection.
  void begin(Core& core);
  // The connection is there (again), or the daemon serves again: what waited for it is sent.
  void wake();
  // The caller wants no more of it.
  virtual void cancel();
  // Ends it with an ERROR event.
  void fail(const Failure& failure);

 protected:
  // Makes the call. Only called while there is a connection.
  virtual void send() = 0;
  // Whether the connection is good enough for `send`.
  virtual bool may_send() const;
  // The deadline has passed.
  virtual void time_out();

  // Called before the first try to send.
  virtual void begun() {}
  // Sends as soon as `may_send` allows it.
  void wait();
  // Sends again later, but not before the failure had time to show as a lost connection.
  void try_again(const grpc::Status& why);
  // Ends the request with its last event. It is freed soon after.
  void end(EventPtr last);
  // Called as the request ends.
  virtual void closing() {}
  // Adds to each of its events what they have in common.
  virtual void sign(Event&) const {}
  // An event before the last one. Ends the request if too many wait; returns whether it goes on.
  bool say(EventPtr event);
  // Says that the request's events came faster than they were polled, and ends it.
  void overflow();
  // Lets it go on past its deadline.
  void extend(Clock::duration by);
  // Stops what still runs in the daemon. Called before an end that the daemon does not know of.
  virtual void let_go() {}

  Core& core() const { return *core_; }
  bool waiting() const { return waiting_; }
  bool ended() const { return ended_; }
  Clock::time_point deadline() const { return deadline_; }
  double limit_s() const { return limit_s_; }

 private:
  friend class Core;
  Failure deadline_failure() const;

  const townsfolk_request id_;
  const double limit_s_;
  const Clock::time_point deadline_;
  Core* core_ = nullptr;
  std::optional<Timer> deadline_timer_;
  std::optional<Timer> retry_timer_;
  Clock::duration retry_pause_;
  std::string last_failure_;
  bool waiting_ = false;
  bool ended_ = false;
};

}  // namespace townsfolk
