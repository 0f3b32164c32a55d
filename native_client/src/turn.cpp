#include "turn.h"

#include <algorithm>

#include "core.h"
#include "ids.h"
#include "scene.h"
#include "turn_events.h"

namespace townsfolk {

namespace {

constexpr auto kOvertime = std::chrono::seconds(5);  // in which the daemon tells of its own deadline, or falls back
constexpr auto kCancelPatience = std::chrono::seconds(1);
constexpr double kLongestDeadline = 600;  // that the daemon takes

bool is_last(const v1::TurnEvent& event) { return event.has_finished() || event.has_error(); }

}  // namespace

Turn::Turn(townsfolk_request id, double limit_s, v1::SayRequest say, bool chosen_id, townsfolk_request scene)
    : Request(id, limit_s), say_(std::move(say)), name_(say_.turn_id()), chosen_id_(chosen_id), scene_(scene) {}

void Turn::begun() {
  cancel_timer_.emplace(core().timers);
  if (scene_ == 0) return;
  if (Scene* scene = core().scene(scene_)) return scene->join(*this);
  fail({TOWNSFOLK_FAILED_PRECONDITION, "the scene has ended", "", 0});
}

// ── asking ──

bool Turn::may_send() const {
  if (core().opening_sessions.count(say_.session_id()) > 0) return false;
  // an engine that is down is asked once: the persona may have a line for that
  return wait_for_engine_ ? core().connection.serving() : core().connection.usable();
}

void Turn::send() {
  if (resuming_) {
    resume();
  } else {
    say();
  }
}

void Turn::say() {
  const double left_s = std::chrono::duration<double>(deadline() - Clock::now()).count();
  say_.set_deadline_s(std::clamp(left_s, 0.001, kLongestDeadline));
  asked_generation_ = core().connection.generation();
  in_daemon_ = true;
  if (scene_ != 0) return core().scene(scene_)->say(*this);
  call_ = core().calls.stream<v1::SayResponse>(
      call_deadline(),
      [this](grpc::ClientContext* context, grpc::CompletionQueue* queue) {
        return core().connection.stubs().dialogue->PrepareAsyncSay(context, say_, queue);
      },
      [this](const v1::SayResponse& response) { receive(response.event()); },
      [this](const grpc::Status& status) { stream_ended(status); });
}

Clock::time_point Turn::call_deadline() const { return deadline() + kOvertime; }

// Events of the line so far are with the caller or on their way; none of them may come twice.
void Turn::receive(const v1::TurnEvent& event) {
  if (ended()) return;
  const bool refused_for_now =
      event.has_error() && event.error().code() == TOWNSFOLK_UNAVAILABLE && next_sequence_ == 0;
  if (refused_for_now) return stream_ended(grpc::Status(grpc::StatusCode::UNAVAILABLE, event.error().message()));
  if (!event.has_error()) {
    if (event.sequence() < next_sequence_) return;
    next_sequence_ = event.sequence() + 1;
  }
  if (event.has_speech_delta()) spoken_ += event.speech_delta().text();
  EventPtr told = turn_event(id(), event);
  if (!told) return;
  if (is_last(event)) {
    core().sessions.spoken_in(say_.session_id());
    end(std::move(told));
  } else {
    Request::say(std::move(told));
  }
}

// ── a stream that ended before the line did ──

void Turn::stream_ended(const grpc::Status& status) {
  if (ended()) return;
  in_daemon_ = false;
  if (cancelling_) return end_as_cancelled();
  if (status.ok()) return fail({TOWNSFOLK_INTERNAL, "the daemon ended the line's stream before the line", "", 0});
  if (!may_come_back(status)) return fail(failure_of(status));
  broken_by_ = status;
  resuming_ = true;
  try_again(status);
}

void Turn::resume() {
  const auto generation = core().connection.generation();
  const bool daemons_own_word =
      generation == resumed_generation_ || (generation == asked_generation_ && next_sequence_ == 0);
  if (daemons_own_word) return next_sequence_ == 0 ? ask_again() : fail(failure_of(broken_by_));
  resumed_generation_ = generation;
  in_daemon_ = true;
  v1::ResumeRequest request;
  request.set_turn_id(say_.turn_id());
  request.set_from_sequence(next_sequence_);
  call_ = core().calls.stream<v1::ResumeResponse>(
      call_deadline(),
      [&](grpc::ClientContext* context, grpc::CompletionQueue* queue) {
        return core().connection.stubs().dialogue->PrepareAsyncResume(context, request, queue);
      },
      [this](const v1::ResumeResponse& response) { receive(response.event()); },
      [this](const grpc::Status& status) { resume_ended(status); });
}

void Turn::resume_ended(const grpc::Status& status) {
  const bool unknown = status.error_code() == grpc::StatusCode::NOT_FOUND ||
                       status.error_code() == grpc::StatusCode::UNIMPLEMENTED ||
                       status.error_code() == grpc::StatusCode::INVALID_ARGUMENT;
  if (!unknown || cancelling_) return stream_ended(status);
  in_daemon_ = false;
  if (next_sequence_ == 0) return ask_again();
  fail({TOWNSFOLK_UNAVAILABLE, "the line broke off and the daemon cannot take it up: " + broken_by_.error_message(), "",
        0});
}

// Nothing of the line was heard: it may be asked for as if for the first time. The daemon takes no id twice.
void Turn::ask_again() {
  resuming_ = false;
  wait_for_engine_ = true;
  say_.set_turn_id(fresh_id());
  core().turn_names.add(name_, say_.turn_id());
  wait();
}

// ── ending ──

void Turn::cancel() {
  if (cancelling_) return;
  cancelling_ = true;
  if (!in_daemon_) return end_as_cancelled();
  cancel_timer_->set(Clock::now() + kCancelPatience, [this] { end_as_cancelled(); });
  cancel_in_daemon();
}

// The daemon ends the line with what it cost and what was spoken.
void Turn::cancel_in_daemon() {
  Scene* scene = core().scene(scene_);
  if (scene != nullptr && on_scene_stream()) return scene->cancel_turn(say_.turn_id());
  v1::CancelTurnRequest request;
  request.set_turn_id(say_.turn_id());
  cancel_call_ = core().calls.unary<v1::CancelTurnResponse>(
      Clock::now() + kCancelPatience,
      [&](grpc::ClientContext* context, grpc::CompletionQueue* queue) {
        return core().connection.stubs().dialogue->PrepareAsyncCancelTurn(context, request, queue);
      },
      [this](const grpc::Status& status, v1::CancelTurnResponse&) {
        if (!status.ok()) end_as_cancelled();
      });
}

void Turn::end_as_cancelled() {
  if (ended()) return;
  let_go();
  auto event = std::make_unique<Event>(TOWNSFOLK_EVENT_FINISHED, id());
  event->view.finish_reason = TOWNSFOLK_FINISH_CANCELLED;
  event->set_text(spoken_);
  event->view.sequence = next_sequence_;
  core().sessions.spoken_in(say_.session_id());
  end(std::move(event));
}

void Turn::time_out() {
  if (waiting() || overtime_) return Request::time_out();
  overtime_ = true;
  extend(kOvertime);
}

// A call that is only cancelled leaves its line speaking for a while, since its connection might have been lost.
void Turn::let_go() {
  if (in_daemon_ && core().connection.usable()) {
    cancel_in_daemon();
    cancel_call_.detach();
  }
  call_.reset();
}

void Turn::closing() {
  if (Scene* scene = core().scene(scene_)) scene->leave(*this);
}

void Turn::sign(Event& event) const {
  event.view.scene = scene_;
  event.view.turn_id = event.keep(name_);
  event.view.session_id = event.keep(say_.session_id());
  if (*event.view.persona_id == '\0') event.view.persona_id = event.keep(say_.persona_id());
}

bool Turn::could_be_refused(const v1::TurnEvent& refusal) const {
  return chosen_id_ && next_sequence_ == 0 && on_scene_stream() && refusal.has_error() &&
         refusal.session_id() == say_.session_id() && refusal.persona_id() == say_.persona_id();
}

}  // namespace townsfolk
