#include "compare.h"

#include "core.h"
#include "turn_events.h"

namespace townsfolk {

namespace {

townsfolk_token token(Event& event, const v1::TokenCandidate& given) {
  townsfolk_token token{};
  token.bytes = event.keep(given.piece());
  token.byte_count = given.piece().size();
  token.token_id = given.token_id();
  token.log_probability = given.log_probability();
  return token;
}

void add_tokens(Event& event, const v1::CompareResponse& response) {
  const int count = response.tokens_size();
  auto* places = event.array<townsfolk_token_probability>(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    const v1::TokenProbability& given = response.tokens(i);
    const int candidate_count = given.candidates_size();
    auto* candidates = event.array<townsfolk_token>(static_cast<std::size_t>(candidate_count));
    for (int k = 0; k < candidate_count; ++k) candidates[k] = token(event, given.candidates(k));
    places[i].position = given.position();
    places[i].sampled = token(event, given.sampled());
    places[i].candidates = candidates;
    places[i].candidate_count = static_cast<uint32_t>(candidate_count);
  }
  event.view.tokens = places;
  event.view.token_probability_count = static_cast<std::size_t>(count);
}

}  // namespace

bool Compare::may_send() const { return wait_for_engine_ ? core().connection.serving() : core().connection.usable(); }

void Compare::send() {
  call_ = core().calls.stream<v1::CompareResponse>(
      deadline() + kDeadlineGrace,
      [this](grpc::ClientContext* context, grpc::CompletionQueue* queue) {
        return core().connection.stubs().preview->PrepareAsyncCompare(context, request_, queue);
      },
      [this](const v1::CompareResponse& response) { receive(response); },
      [this](const grpc::Status& status) { stream_ended(status); });
}

void Compare::receive(const v1::CompareResponse& response) {
  if (ended()) return;
  heard_ = true;
  EventPtr event = turn_event(id(), response.event());
  if (!event) return;
  event->view.variant = static_cast<int32_t>(response.variant_index());
  add_tokens(*event, response);
  say(std::move(event));
}

void Compare::stream_ended(const grpc::Status& status) {
  if (ended()) return;
  if (status.ok()) return end(std::make_unique<Event>(TOWNSFOLK_EVENT_COMPARED, id()));
  if (heard_ || !may_come_back(status)) return fail(failure_of(status));
  wait_for_engine_ = true;
  try_again(status);
}

}  // namespace townsfolk
