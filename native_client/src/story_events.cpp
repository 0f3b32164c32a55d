#include "story_events.h"

#include "concept_field.h"
#include "failure.h"
#include "turn_events.h"

namespace townsfolk {

namespace {

// An event whose story is there to be filled.
struct StoryEvent {
  StoryEvent(townsfolk_event_kind kind, townsfolk_request request)
      : StoryEvent(std::make_unique<Event>(kind, request)) {}
  explicit StoryEvent(EventPtr given) : event(std::move(given)), story(*event->array<townsfolk_story>(1)) {
    story.story_id = story.media_type = story.prompt = "";
    story.story_concept = {"", "", "", ""};
    event->view.story = &story;
  }

  void of_part(v1::StoryPart part, std::uint32_t picture_index) {
    story.part = v1::StoryPart_IsValid(part) ? static_cast<int32_t>(part) : TOWNSFOLK_STORY_PART_UNSPECIFIED;
    story.picture_index = picture_index;
  }

  EventPtr event;
  townsfolk_story& story;
};

StoryEvent part_started(townsfolk_request request, const v1::PartStarted& given) {
  StoryEvent made(TOWNSFOLK_EVENT_STORY_PART_STARTED, request);
  made.of_part(given.part(), given.picture_index());
  made.event->view.persona_id = made.event->keep(given.persona_id());
  return made;
}

StoryEvent part_delta(townsfolk_request request, const v1::PartDelta& given) {
  StoryEvent made(TOWNSFOLK_EVENT_STORY_DELTA, request);
  made.of_part(given.part(), given.picture_index());
  made.event->set_text(given.text());
  return made;
}

StoryEvent part_finished(townsfolk_request request, const v1::PartFinished& given) {
  StoryEvent made(TOWNSFOLK_EVENT_STORY_PART_FINISHED, request);
  Event& event = *made.event;
  made.of_part(given.part(), given.picture_index());
  event.set_text(given.text());
  event.view.finish_reason = finish_reason_of(given.reason());
  event.view.stats = stats_of(given.stats());
  made.story.total_s = given.total_s();
  const v1::Concept& about = concept_of(given);
  made.story.story_concept = {event.keep(about.title()), event.keep(about.hero()), event.keep(about.conflict()),
                              event.keep(about.place())};
  return made;
}

StoryEvent part_failed(townsfolk_request request, const v1::PartFailed& given) {
  const v1::TurnError& why = given.error();
  EventPtr event = error_event(request, {why.code(), why.message(), why.field(), why.retry_after_s()});
  event->view.kind = TOWNSFOLK_EVENT_STORY_PART_FAILED;
  StoryEvent made(std::move(event));
  made.of_part(given.part(), given.picture_index());
  return made;
}

StoryEvent picture_progress(townsfolk_request request, const v1::PictureProgress& given) {
  StoryEvent made(TOWNSFOLK_EVENT_PICTURE_PROGRESS, request);
  made.of_part(v1::STORY_PART_PICTURE, given.picture_index());
  made.story.step = given.step();
  made.story.total_steps = given.total_steps();
  return made;
}

StoryEvent picture(townsfolk_request request, const v1::Picture& given) {
  StoryEvent made(TOWNSFOLK_EVENT_PICTURE, request);
  made.of_part(v1::STORY_PART_PICTURE, given.picture_index());
  made.story.media_type = made.event->keep(given.media_type());
  made.story.prompt = made.event->keep(given.prompt());
  made.story.width = given.width();
  made.story.height = given.height();
  made.story.seed = given.seed();
  made.story.step = made.story.total_steps = given.steps();
  return made;
}

StoryEvent finished(townsfolk_request request, const v1::ComposeFinished& given) {
  StoryEvent made(TOWNSFOLK_EVENT_STORY_FINISHED, request);
  made.event->set_text(given.story());
  made.story.has_picture = given.has_picture() ? 1 : 0;
  made.story.total_s = given.total_s();
  made.story.texts_s = given.texts_s();
  made.story.text_steps = given.text_steps();
  made.story.seed = given.seed();
  return made;
}

EventPtr signed_event(StoryEvent made, const v1::ComposeResponse& response) {
  made.story.story_id = made.event->keep(response.story_id());
  made.event->view.sequence = response.sequence();
  return std::move(made.event);
}

}  // namespace

EventPtr story_event(townsfolk_request request, const v1::ComposeResponse& given) {
  switch (given.event_case()) {
    case v1::ComposeResponse::kPartStarted:
      return signed_event(part_started(request, given.part_started()), given);
    case v1::ComposeResponse::kPartDelta:
      return signed_event(part_delta(request, given.part_delta()), given);
    case v1::ComposeResponse::kPartFinished:
      return signed_event(part_finished(request, given.part_finished()), given);
    case v1::ComposeResponse::kPartFailed:
      return signed_event(part_failed(request, given.part_failed()), given);
    case v1::ComposeResponse::kPictureProgress:
      return signed_event(picture_progress(request, given.picture_progress()), given);
    case v1::ComposeResponse::kPicture:
      return signed_event(picture(request, given.picture()), given);
    case v1::ComposeResponse::kFinished:
      return signed_event(finished(request, given.finished()), given);
    case v1::ComposeResponse::kPictureChunk:
    case v1::ComposeResponse::EVENT_NOT_SET:
      return nullptr;
  }
  return nullptr;
}

}  // namespace townsfolk
