#include "turn_events.h"

#include "failure.h"
#include "json.h"

namespace townsfolk {

namespace {

EventPtr started(townsfolk_request request, const v1::Started& given) {
  auto event = std::make_unique<Event>(TOWNSFOLK_EVENT_STARTED, request);
  event->view.adapter_applied = given.adapter_applied() ? 1 : 0;
  event->view.prompt_tokens = given.prompt_tokens();
  event->view.cached_prompt_tokens = given.cached_prompt_tokens();
  return event;
}

EventPtr speech_delta(townsfolk_request request, const v1::SpeechDelta& given) {
  auto event = std::make_unique<Event>(TOWNSFOLK_EVENT_SPEECH_DELTA, request);
  event->set_text(given.text());
  event->view.token_count = given.token_count();
  event->view.sampled_unix_ns = given.sampled_unix_ns();
  return event;
}

EventPtr emotion(townsfolk_request request, const v1::Emotion& given) {
  auto event = std::make_unique<Event>(TOWNSFOLK_EVENT_EMOTION, request);
  event->set_text(given.name());
  return event;
}

EventPtr action(townsfolk_request request, const v1::Action& given) {
  auto event = std::make_unique<Event>(TOWNSFOLK_EVENT_ACTION, request);
  event->set_text(given.name());
  event->view.json = event->keep(to_json(given.arguments()));
  return event;
}

EventPtr finished(townsfolk_request request, const v1::Finished& given) {
  auto event = std::make_unique<Event>(TOWNSFOLK_EVENT_FINISHED, request);
  event->view.finish_reason = finish_reason_of(given.reason());
  event->set_text(given.text());
  event->view.fallback_reason = event->keep(given.fallback_reason());
  event->view.stats = stats_of(given.stats());
  return event;
}

EventPtr failed(townsfolk_request request, const v1::TurnError& given) {
  return error_event(request, {given.code(), given.message(), given.field(), given.retry_after_s()});
}

EventPtr what_happened(townsfolk_request request, const v1::TurnEvent& given) {
  switch (given.event_case()) {
    case v1::TurnEvent::kStarted:
      return started(request, given.started());
    case v1::TurnEvent::kSpeechDelta:
      return speech_delta(request, given.speech_delta());
    case v1::TurnEvent::kEmotion:
      return emotion(request, given.emotion());
    case v1::TurnEvent::kAction:
      return action(request, given.action());
    case v1::TurnEvent::kFinished:
      return finished(request, given.finished());
    case v1::TurnEvent::kError:
      return failed(request, given.error());
    case v1::TurnEvent::EVENT_NOT_SET:
      return nullptr;
  }
  return nullptr;
}

}  // namespace

townsfolk_turn_stats stats_of(const v1::TurnStats& given) {
  townsfolk_turn_stats stats{};
  stats.prompt_tokens = given.prompt_tokens();
  stats.cached_prompt_tokens = given.cached_prompt_tokens();
  stats.completion_tokens = given.completion_tokens();
  stats.max_batch_rows = given.max_batch_rows();
  stats.max_batch_adapters = given.max_batch_adapters();
  stats.shared_steps = given.shared_steps();
  stats.queue_s = given.queue_s();
  stats.time_to_first_token_s = given.time_to_first_token_s();
  stats.total_s = given.total_s();
  stats.tokens_per_s = given.tokens_per_s();
  return stats;
}

int32_t finish_reason_of(v1::FinishReason given) {
  return v1::FinishReason_IsValid(given) ? static_cast<int32_t>(given) : TOWNSFOLK_FINISH_UNSPECIFIED;
}

EventPtr turn_event(townsfolk_request request, const v1::TurnEvent& given) {
  EventPtr event = what_happened(request, given);
  if (!event) return nullptr;
  event->view.turn_id = event->keep(given.turn_id());
  event->view.session_id = event->keep(given.session_id());
  event->view.persona_id = event->keep(given.persona_id());
  event->view.sequence = given.sequence();
  return event;
}

}  // namespace townsfolk
