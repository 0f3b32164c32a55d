// One line: asked for by a call of its own or in a scene, and taken up again by Resume where a connection broke.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "calls.h"
#include "request.h"
#include "townsfolk/v1/dialogue.pb.h"

namespace townsfolk {

class Turn final : public Request {
 public:
  // `say.turn_id` must be set; `chosen_id` tells whether the caller chose it. `scene` 0: a line of its own.
  Turn(townsfolk_request id, double limit_s, v1::SayRequest say, bool chosen_id, townsfolk_request scene);

  void cancel() override;

  // ── for its scene ──

  const v1::SayRequest& request() const { return say_; }
  // Whether it runs on the scene's stream.
  bool on_scene_stream() const { return in_daemon_ && !resuming_; }
  // Whether an event that names no turn may mean this one.
  bool could_be_refused(const v1::TurnEvent& refusal) const;
  void receive(const v1::TurnEvent& event);
  // The stream that it ran on has ended.
  void stream_ended(const grpc::Status& status);
  // The scene is cancelled.
  void end_as_cancelled();

 private:
  void begun() override;
  void send() override;
  bool may_send() const override;
  void time_out() override;
  void let_go() override;
  void closing() override;
  void sign(Event& event) const override;

  void say();
  void resume();
  void resume_ended(const grpc::Status& status);
  void ask_again();
  void cancel_in_daemon();
  Clock::time_point call_deadline() const;

  v1::SayRequest say_;      // with the daemon's id of the turn
  const std::string name_;  // the caller's id of it
  const bool chosen_id_;
  const townsfolk_request scene_;
  std::string spoken_;
  std::uint64_t next_sequence_ = 0;
  CallHandle call_;  // Say or Resume
  CallHandle cancel_call_;
  std::optional<Timer> cancel_timer_;
  grpc::Status broken_by_;                // what ended the stream before the line ended
  std::uint64_t asked_generation_ = 0;    // of the connection that the line was last asked for on
  std::uint64_t resumed_generation_ = 0;  // of the one that it was last resumed on
  bool in_daemon_ = false;                // asked for, and its stream has not ended
  bool resuming_ = false;
  bool cancelling_ = false;
  bool wait_for_engine_ = false;
  bool overtime_ = false;
};

}  // namespace townsfolk
