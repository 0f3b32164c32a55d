#include "compose.h"

#include "core.h"
#include "story_events.h"

namespace townsfolk {

bool Compose::may_send() const { return wait_for_engine_ ? core().connection.serving() : core().connection.usable(); }

void Compose::send() {
  call_ = core().calls.stream<v1::ComposeResponse>(
      deadline() + kDeadlineGrace,
      [this](grpc::ClientContext* context, grpc::CompletionQueue* queue) {
        return core().connection.stubs().stories->PrepareAsyncCompose(context, request_, queue);
      },
      [this](const v1::ComposeResponse& response) { receive(response); },
      [this](const grpc::Status& status) { stream_ended(status); });
}

void Compose::receive(const v1::ComposeResponse& response) {
  if (ended()) return;
  heard_ = true;
  if (response.has_picture()) return begin_picture(response);
  if (response.has_picture_chunk()) return add_to_picture(response.picture_chunk());
  EventPtr event = story_event(id(), response);
  if (!event) return;
  if (response.has_finished()) {
    last_ = std::move(event);
  } else {
    say(std::move(event));
  }
}

void Compose::begin_picture(const v1::ComposeResponse& response) {
  if (++pictures_ > request_.picture().count()) return lose("the daemon sent more pictures than were asked for");
  const v1::Picture& picture = response.picture();
  if (!picture_.begin(story_event(id(), response), picture.size_bytes(), picture.picture_index())) {
    lose("the daemon sent a picture that is empty, larger than 16 MiB, or in the middle of another");
  }
}

void Compose::add_to_picture(const v1::PictureChunk& chunk) {
  if (!picture_.add(chunk)) return lose("the pieces of a picture did not come one after the other");
  if (picture_.complete()) say(picture_.take());
}

void Compose::lose(const char* what) {
  let_go();
  fail({TOWNSFOLK_DATA_LOSS, what, "", 0});
}

void Compose::stream_ended(const grpc::Status& status) {
  if (ended()) return;
  if (status.ok()) {
    if (last_ && !picture_.running()) return end(std::move(last_));
    return fail({TOWNSFOLK_DATA_LOSS, "the daemon ended the story before all of it had come", "", 0});
  }
  if (heard_ || !may_come_back(status)) return fail(failure_of(status));
  wait_for_engine_ = true;
  try_again(status);
}

}  // namespace townsfolk
