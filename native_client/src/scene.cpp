#include "scene.h"

#include <algorithm>

#include "core.h"
#include "turn.h"

namespace townsfolk {

void Scene::close() {
  closing_ = true;
  end_if_over();
}

void Scene::cancel() {
  for (Turn* turn : turns()) turn->end_as_cancelled();
  Request::cancel();
}

void Scene::let_go() {
  handle_.reset();
  stream_.reset();
}

// ── its turns ──

std::vector<Turn*> Scene::turns() const {
  std::vector<Turn*> turns;
  for (const auto& [turn, turn_id] : turns_) turns.push_back(turn);
  std::sort(turns.begin(), turns.end(), [](Turn* a, Turn* b) { return a->id() < b->id(); });
  return turns;
}

void Scene::join(Turn& turn) { turns_.emplace(&turn, ""); }

void Scene::say(Turn& turn) {
  const std::string& turn_id = turn.request().turn_id();
  const auto [place, is_new] = by_id_.emplace(turn_id, &turn);
  if (!is_new && place->second != &turn) {
    return turn.fail({TOWNSFOLK_INVALID_ARGUMENT, "turn_id " + turn_id + " is in use in this scene", "turn_id", 0});
  }
  std::string& last_id = turns_[&turn];
  if (last_id != turn_id) by_id_.erase(last_id);
  last_id = turn_id;
  if (!stream_) open_stream();
  v1::ConverseRequest command;
  *command.mutable_say() = turn.request();
  stream_->write(std::move(command));
}

void Scene::cancel_turn(const std::string& turn_id) {
  if (!stream_) return;
  v1::ConverseRequest command;
  command.mutable_cancel()->set_turn_id(turn_id);
  stream_->write(std::move(command));
}

void Scene::leave(Turn& turn) {
  const auto found = turns_.find(&turn);
  if (found == turns_.end()) return;
  by_id_.erase(found->second);
  turns_.erase(found);
  end_if_over();
}

// All has been said: whether the stream is closed or cancelled makes no difference.
void Scene::end_if_over() {
  if (!closing_ || !turns_.empty()) return;
  let_go();
  end(std::make_unique<Event>(TOWNSFOLK_EVENT_SCENE_CLOSED, id()));
}

// ── its stream ──

void Scene::open_stream() {
  stream_ = core().calls.bidi<v1::ConverseRequest, v1::ConverseResponse>(
      [this](grpc::ClientContext* context, grpc::CompletionQueue* queue) {
        return core().connection.stubs().dialogue->PrepareAsyncConverse(context, queue);
      },
      [this](const v1::ConverseResponse& response) { receive(response); },
      [this](const grpc::Status& status) { stream_ended(status); });
  handle_ = CallHandle(stream_);
}

void Scene::receive(const v1::ConverseResponse& response) {
  for (const v1::TurnEvent& event : response.events()) {
    if (Turn* turn = addressee(event)) turn->receive(event);
  }
}

// A line refused because its id is taken is told of without an id; the daemon refuses in the order it was asked.
Turn* Scene::addressee(const v1::TurnEvent& event) const {
  const auto found = by_id_.find(event.turn_id());
  if (found != by_id_.end()) return found->second;
  if (!event.turn_id().empty()) return nullptr;
  for (Turn* turn : turns()) {
    if (turn->could_be_refused(event)) return turn;
  }
  return nullptr;
}

void Scene::stream_ended(const grpc::Status& status) {
  let_go();
  const bool over = !may_come_back(status);
  const grpc::Status told =
      status.ok() ? grpc::Status(grpc::StatusCode::ABORTED, "the daemon closed the scene") : status;
  for (Turn* turn : turns()) {
    if (turn->on_scene_stream()) {
      turn->stream_ended(told);
    } else if (over) {
      turn->fail(failure_of(told));
    }
  }
  if (!over || ended()) return;
  if (!status.ok()) return fail(failure_of(status));
  closing_ = true;
  end_if_over();
}

}  // namespace townsfolk
