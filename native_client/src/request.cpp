#include "request.h"

#include <algorithm>
#include <cstdio>

#include "core.h"

namespace townsfolk {

namespace {

constexpr auto kFirstRetryPause = std::chrono::milliseconds(100);
constexpr auto kLongestRetryPause = std::chrono::seconds(1);

std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

}  // namespace

Request::Request(townsfolk_request id, double limit_s)
    : id_(id),
      limit_s_(limit_s),
      deadline_(limit_s > 0 ? Clock::now() + seconds(limit_s) : Clock::time_point::max()),
      retry_pause_(kFirstRetryPause) {}

void Request::begin(Core& core) {
  core_ = &core;
  deadline_timer_.emplace(core.timers);
  retry_timer_.emplace(core.timers);
  if (limit_s_ > 0) deadline_timer_->set(deadline_, [this] { time_out(); });
  begun();
  wait();
}

void Request::wait() {
  waiting_ = true;
  wake();
}

bool Request::may_send() const { return core_->connection.usable(); }

void Request::wake() {
  if (!waiting_ || ended_ || !may_send()) return;
  waiting_ = false;
  retry_timer_->stop();
  send();
}

void Request::try_again(const grpc::Status& why) {
  last_failure_ = why.error_message();
  waiting_ = true;
  retry_timer_->set(Clock::now() + retry_pause_, [this] { wake(); });
  retry_pause_ = std::min<Clock::duration>(retry_pause_ * 2, kLongestRetryPause);
}

void Request::cancel() {
  let_go();
  fail({TOWNSFOLK_CANCELLED, "the request was cancelled", "", 0});
}

void Request::fail(const Failure& failure) { end(error_event(id_, failure)); }

void Request::time_out() {
  let_go();
  fail(deadline_failure());
}

void Request::extend(Clock::duration by) {
  deadline_timer_->set(Clock::now() + by, [this] { time_out(); });
}

Failure Request::deadline_failure() const {
  std::string text = "no answer within " + short_number(limit_s_) + " s";
  const std::string why = waiting_ && !last_failure_.empty() ? last_failure_ : core_->connection.trouble();
  if (!why.empty()) text += ": " + why;
  return {TOWNSFOLK_DEADLINE_EXCEEDED, text, "", 0};
}

void Request::end(EventPtr last) {
  if (ended_) return;
  ended_ = true;
  waiting_ = false;
  deadline_timer_->stop();
  retry_timer_->stop();
  closing();
  sign(*last);
  core_->events.push_last(std::move(last));
  core_->forget(*this);
}

bool Request::say(EventPtr event) {
  if (ended_) return false;
  sign(*event);
  if (core_->events.push_or_lose(std::move(event))) return true;
  overflow();
  return false;
}

void Request::overflow() {
  let_go();
  fail({TOWNSFOLK_RESOURCE_EXHAUSTED, "cancelled, because its events were not polled and too many waited", "", 0});
}

}  // namespace townsfolk
