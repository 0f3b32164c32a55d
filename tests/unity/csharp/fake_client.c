/* A townsfolk_client without a daemon: every request is answered at once, and the answer holds every argument, so that
 * tests see what arrives on the other side of P/Invoke. */
#define _POSIX_C_SOURCE 200809L

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "townsfolk_client.h"

#ifndef FAKE_ABI_VERSION
#define FAKE_ABI_VERSION TOWNSFOLK_ABI_VERSION
#endif

#define MAX_EVENTS 4096

struct townsfolk_client {
  townsfolk_event events[MAX_EVENTS];
  int written, read;
  townsfolk_request requests, held;
  townsfolk_request scene;
};

static const char* last_error = "";
static char scratch[65536];

static const char* or_null(const char* text) { return text ? text : "NULL"; }

/* Never freed: a test ends soon. */
static const char* format(const char* pattern, ...) {
  va_list arguments;
  va_start(arguments, pattern);
  vsnprintf(scratch, sizeof scratch, pattern, arguments);
  va_end(arguments);
  return strdup(scratch);
}

static townsfolk_event* push(townsfolk_client* client, int kind, townsfolk_request request, int last,
                             const char* text) {
  townsfolk_event* event = &client->events[client->written++ % MAX_EVENTS];
  memset(event, 0, sizeof *event);
  event->kind = kind;
  event->request = request;
  event->last = last;
  event->turn_id = event->session_id = event->persona_id = event->json = event->field = event->fallback_reason = "";
  event->text = text;
  event->text_bytes = strlen(text);
  return event;
}

static const char* sampling_text(const townsfolk_sampling* s) {
  return format("set=%u top_k=%u max=%u seed=%llu t=%g top_p=%g min_p=%g rep=%g", s->set, s->top_k, s->max_tokens,
                (unsigned long long)s->seed, s->temperature, s->top_p, s->min_p, s->repetition_penalty);
}

uint32_t townsfolk_abi_version(void) { return FAKE_ABI_VERSION; }
const char* townsfolk_version(void) { return "9.8.7-fake"; }
const char* townsfolk_last_error(void) { return last_error; }

int32_t townsfolk_connect(const townsfolk_options* o, townsfolk_client** client) {
  *client = NULL;
  if (o->struct_size != sizeof *o || (o->address && strcmp(o->address, "bad") == 0)) {
    last_error = "'bad' is no address; write host:port";
    return TOWNSFOLK_INVALID_ARGUMENT;
  }
  *client = calloc(1, sizeof **client);
  push(*client, TOWNSFOLK_EVENT_CONNECTION, 0, 0,
       format("%s|%s|%s|%d|%u|%s|%s|%g|%g", or_null(o->address), or_null(o->token), or_null(o->tls_certificate),
              o->launch, o->max_waiting_events, or_null(o->launch_command), or_null(o->launch_folder),
              o->call_deadline_s, o->turn_deadline_s))
      ->connection = TOWNSFOLK_CONNECTION_READY;
  return TOWNSFOLK_OK;
}

void townsfolk_close(townsfolk_client* client) {
  printf("closed\n");
  fflush(stdout);
  free(client);
}

const townsfolk_event* townsfolk_poll(townsfolk_client* client) {
  return client->read == client->written ? NULL : &client->events[client->read++ % MAX_EVENTS];
}

townsfolk_request townsfolk_list_personas(townsfolk_client* client) {
  static const townsfolk_persona personas[] = {{"smith", "Börrin 鍛冶", "Hammers.", 1, 16}, {"monk", "Monk", "", 0, 0}};
  townsfolk_event* event = push(client, TOWNSFOLK_EVENT_PERSONAS, ++client->requests, 1, "");
  event->personas = personas;
  event->persona_count = 2;
  return client->requests;
}

townsfolk_request townsfolk_open_session(townsfolk_client* client, const townsfolk_session_options* o) {
  if (o->struct_size != sizeof *o || o->persona_count == 0) {
    last_error = "a session needs 1 to 32 personas";
    return 0;
  }
  const char* personas = "";
  for (size_t i = 0; i < o->persona_count; i++) personas = format("%s%s,", personas, o->persona_ids[i]);
  push(client, TOWNSFOLK_EVENT_SESSION_OPENED, ++client->requests, 1, "")->session_id =
      format("%s|%s|%s", or_null(o->session_id), personas, or_null(o->player_name));
  return client->requests;
}

townsfolk_request townsfolk_close_session(townsfolk_client* client, const char* session_id) {
  townsfolk_event* event =
      push(client, strcmp(session_id, "gone") ? TOWNSFOLK_EVENT_SESSION_CLOSED : TOWNSFOLK_EVENT_ERROR,
           ++client->requests, 1, "there is no such session");
  event->status = TOWNSFOLK_NOT_FOUND;
  event->field = "session_id";
  return client->requests;
}

townsfolk_request townsfolk_save_session(townsfolk_client* client, const char* session_id) {
  static const uint8_t bytes[] = {0, 1, 0, 254, 255};
  townsfolk_event* event = push(client, TOWNSFOLK_EVENT_SESSION_SAVED, ++client->requests, 1, "");
  event->session_id = format("%s", session_id);
  event->bytes = bytes;
  event->byte_count = sizeof bytes;
  return client->requests;
}

townsfolk_request townsfolk_restore_session(townsfolk_client* client, const uint8_t* bytes, size_t byte_count,
                                            const char* session_id) {
  unsigned sum = 0;
  for (size_t i = 0; i < byte_count; i++) sum = sum * 31 + bytes[i];
  push(client, TOWNSFOLK_EVENT_SESSION_OPENED, ++client->requests, 1, "elf,smith")->session_id =
      format("%s|%zu|%u", or_null(session_id), byte_count, sum);
  return client->requests;
}

townsfolk_request townsfolk_fork_session(townsfolk_client* client, const char* session_id, const char* new_session_id) {
  push(client, TOWNSFOLK_EVENT_SESSION_OPENED, ++client->requests, 1, "")->session_id =
      format("%s>%s", session_id, or_null(new_session_id));
  return client->requests;
}

static const char* say_text(const townsfolk_say_options* o) {
  return format("%s|%s|%s|%s|%s|%d|%d|%g|%s", or_null(o->session_id), or_null(o->persona_id), or_null(o->text),
                or_null(o->situation), or_null(o->turn_id), o->priority, o->with_cues, o->deadline_s,
                sampling_text(&o->sampling));
}

static townsfolk_request speak(townsfolk_client* client, townsfolk_request scene, const townsfolk_say_options* o) {
  if (o->struct_size != sizeof *o || (!o->text && !o->situation)) {
    last_error = "text or situation must be given";
    return 0;
  }
  townsfolk_request request = ++client->requests;
  if (o->text && strcmp(o->text, "fail") == 0) {
    townsfolk_event* event = push(client, TOWNSFOLK_EVENT_ERROR, request, 1, "the queue is full, café");
    event->status = TOWNSFOLK_RESOURCE_EXHAUSTED;
    event->field = "sampling.top_p";
    event->retry_after_s = 1.5;
    return request;
  }
  townsfolk_event* event = push(client, TOWNSFOLK_EVENT_STARTED, request, 0, "");
  event->turn_id = "turn-7";
  event->scene = scene;
  event->adapter_applied = 1;
  event->prompt_tokens = 12;
  event->cached_prompt_tokens = 5;
  if (o->text && strcmp(o->text, "hold") == 0) {
    client->held = request;
    return request;
  }
  const char* deltas[] = {"Aye, ", "日本 😀", " e\xCC\x81"};
  for (int i = 0; i < 3; i++) {
    event = push(client, TOWNSFOLK_EVENT_SPEECH_DELTA, request, 0, deltas[i]);
    event->token_count = 3;
    event->sequence = 1 + i;
    event->sampled_unix_ns = 1700000000123456789;
  }
  push(client, TOWNSFOLK_EVENT_EMOTION, request, 0, "glad");
  push(client, TOWNSFOLK_EVENT_ACTION, request, 0, "sell")->json = "{\"price\":3}";
  push(client, 99, request, 0, "an event of a later library");
  event = push(client, TOWNSFOLK_EVENT_FINISHED, request, 1, say_text(o));
  event->turn_id = "turn-7";
  event->session_id = "session-8";
  event->persona_id = "smith";
  event->finish_reason = TOWNSFOLK_FINISH_LENGTH;
  event->fallback_reason = "busy";
  event->stats = (townsfolk_turn_stats){1, 2, 3, 4, 5, 6, 7.5, 8.5, 9.5, 10.5};
  return request;
}

townsfolk_request townsfolk_say(townsfolk_client* client, const townsfolk_say_options* o) {
  return speak(client, 0, o);
}

townsfolk_request townsfolk_scene_open(townsfolk_client* client) { return client->scene = ++client->requests; }

townsfolk_request townsfolk_scene_say(townsfolk_client* client, townsfolk_request scene,
                                      const townsfolk_say_options* o) {
  return scene == client->scene ? speak(client, scene, o) : 0;
}

int32_t townsfolk_scene_close(townsfolk_client* client, townsfolk_request scene) {
  if (scene != client->scene) return 0;
  push(client, TOWNSFOLK_EVENT_SCENE_CLOSED, scene, 1, "");
  client->scene = 0;
  return 1;
}

int32_t townsfolk_cancel(townsfolk_client* client, townsfolk_request request) {
  if (request == client->scene) {
    push(client, TOWNSFOLK_EVENT_ERROR, request, 1, "cancelled")->status = TOWNSFOLK_CANCELLED;
    return 1;
  }
  if (request != client->held) return 0;
  client->held = 0;
  townsfolk_event* event = push(client, TOWNSFOLK_EVENT_FINISHED, request, 1, "Aye, so f");
  event->turn_id = "turn-7";
  event->finish_reason = TOWNSFOLK_FINISH_CANCELLED;
  return 1;
}

townsfolk_request townsfolk_heard(townsfolk_client* client, const char* turn_id, uint32_t characters) {
  push(client, TOWNSFOLK_EVENT_HEARD, ++client->requests, 1, format("%s:%u", turn_id, characters));
  return client->requests;
}

townsfolk_request townsfolk_compare(townsfolk_client* client, const townsfolk_compare_options* o) {
  static const townsfolk_token candidates[] = {{"\xF0\x9F\x98\x80", 4, 11, 0, -0.25}, {"b", 1, 12, 0, -2.5}};
  static const townsfolk_token_probability tokens[] = {{0, 2, {"\xF0\x9F", 2, 10, 0, -0.5}, candidates},
                                                       {1, 0, {"\x98\x80", 2, 13, 0, -1.5}, NULL}};
  if (o->struct_size != sizeof *o || o->variant_count == 0) {
    last_error = "a comparison needs 1 to 32 variants";
    return 0;
  }
  townsfolk_request request = ++client->requests;
  const char* all = format("%s|%s|%s|%u|%s", or_null(o->text), or_null(o->situation), or_null(o->session_id),
                           o->top_tokens, sampling_text(&o->sampling));
  for (size_t i = 0; i < o->variant_count; i++) {
    const townsfolk_variant* v = o->variants[i];
    if (v->struct_size != sizeof *v) return 0;
    push(client, TOWNSFOLK_EVENT_STARTED, request, 0, "")->variant = (int32_t)i;
    townsfolk_event* event = push(client, TOWNSFOLK_EVENT_SPEECH_DELTA, request, 0, "😀");
    event->variant = (int32_t)i;
    if (o->top_tokens) {
      event->tokens = tokens;
      event->token_probability_count = 2;
    }
    int fails = v->persona_id && strcmp(v->persona_id, "nobody") == 0;
    event = push(client, fails ? TOWNSFOLK_EVENT_ERROR : TOWNSFOLK_EVENT_FINISHED, request, 0,
                 fails ? "there is no persona 'nobody'"
                       : format("%s|%s|%d|%d|%g|%s|%s", all, or_null(v->persona_id), v->kind, v->has_adapter_scale,
                                v->adapter_scale, or_null(v->system_prompt), sampling_text(&v->sampling)));
    event->variant = (int32_t)i;
    event->status = fails ? TOWNSFOLK_NOT_FOUND : TOWNSFOLK_OK;
  }
  push(client, TOWNSFOLK_EVENT_COMPARED, request, 1, "");
  return request;
}

static const char* concept_text(const townsfolk_story_concept* c) {
  return c ? format("%s/%s/%s/%s", or_null(c->title), or_null(c->hero), or_null(c->conflict), or_null(c->place))
           : "NULL";
}

static townsfolk_event* push_story(townsfolk_client* client, int kind, int last, const char* text,
                                   townsfolk_story story) {
  townsfolk_story* own = calloc(1, sizeof *own);
  *own = story;
  own->story_id = "story-9";
  if (!own->media_type) own->media_type = own->prompt = "";
  if (!own->story_concept.title) own->story_concept = (townsfolk_story_concept){"", "", "", ""};
  townsfolk_event* event = push(client, kind, client->requests, last, text);
  event->story = own;
  return event;
}

townsfolk_request townsfolk_compose(townsfolk_client* client, const townsfolk_compose_options* o) {
  static const uint8_t picture[] = {0x89, 'P', 0, 255};
  if (o->struct_size != sizeof *o || (!o->idea && !o->story_concept)) {
    last_error = "idea or story_concept must be given";
    return 0;
  }
  ++client->requests;
  const char* cast = "";
  for (size_t i = 0; i < o->cast_count; i++) cast = format("%s%s,", cast, o->cast_persona_ids[i]);
  const char* texts = format("%s|%s|%s|%s|%s|%u|%d|%g|%s", or_null(o->idea), or_null(o->narrator_persona_id), cast,
                             concept_text(o->story_concept), or_null(o->wish), o->target_words, o->base_model,
                             o->deadline_s, sampling_text(&o->sampling));
  const char* pictures = format("%u|%u|%u|%u|%d|%llu|%d|%s|%s", o->picture_count, o->picture_width, o->picture_height,
                                o->picture_steps, o->has_picture_seed, (unsigned long long)o->picture_seed,
                                o->prompts_only, or_null(o->picture_style), or_null(o->picture_negative_prompt));
  push_story(client, TOWNSFOLK_EVENT_STORY_PART_STARTED, 0, "",
             (townsfolk_story){.part = TOWNSFOLK_STORY_PART_PICTURE_PROMPT, .picture_index = 3})
      ->persona_id = "picture_prompter";
  push_story(client, TOWNSFOLK_EVENT_STORY_DELTA, 0, "日本 😀",
             (townsfolk_story){.part = TOWNSFOLK_STORY_PART_STORY, .picture_index = 2});
  townsfolk_event* event =
      push_story(client, TOWNSFOLK_EVENT_STORY_PART_FINISHED, 0, pictures,
                 (townsfolk_story){
                     .part = TOWNSFOLK_STORY_PART_CONCEPT, .story_concept = {"Törn", "h", "c", "p"}, .total_s = 2.5});
  event->finish_reason = TOWNSFOLK_FINISH_STOP;
  event->stats.completion_tokens = 41;
  push_story(client, TOWNSFOLK_EVENT_PICTURE_PROGRESS, 0, "",
             (townsfolk_story){.picture_index = 1, .step = 3, .total_steps = 20});
  event = push_story(client, TOWNSFOLK_EVENT_STORY_PART_FAILED, 0, "the brush is gone",
                     (townsfolk_story){.part = TOWNSFOLK_STORY_PART_PICTURE, .picture_index = 1});
  event->status = TOWNSFOLK_UNAVAILABLE;
  event->field = "picture.width";
  event->retry_after_s = 1.5;
  event = push_story(client, TOWNSFOLK_EVENT_PICTURE, 0, "",
                     (townsfolk_story){.part = TOWNSFOLK_STORY_PART_PICTURE,
                                       .picture_index = 2,
                                       .step = 20,
                                       .total_steps = 20,
                                       .media_type = "image/png",
                                       .prompt = "a lighthouse",
                                       .width = 640,
                                       .height = 480,
                                       .seed = 18446744073709551615u});
  event->bytes = picture;
  event->byte_count = sizeof picture;
  push_story(client, TOWNSFOLK_EVENT_STORY_FINISHED, 1, texts,
             (townsfolk_story){.seed = 7, .has_picture = 1, .text_steps = 90, .total_s = 12.5, .texts_s = 4.5});
  return client->requests;
}

townsfolk_request townsfolk_console_execute(townsfolk_client* client, const char* line, const char* session_id,
                                            uint32_t columns) {
  townsfolk_request request = ++client->requests;
  push(client, TOWNSFOLK_EVENT_CONSOLE_OUTPUT, request, 0, format("%s|%s|%u\n", line, or_null(session_id), columns))
      ->console_style = TOWNSFOLK_CONSOLE_HEADING;
  push(client, TOWNSFOLK_EVENT_CONSOLE_FINISHED, request, 1, "");
  return request;
}

townsfolk_request townsfolk_console_complete(townsfolk_client* client, const char* line, int32_t cursor,
                                             const char* session_id) {
  townsfolk_completion* completions = calloc(2, sizeof *completions);
  completions[0] = (townsfolk_completion){"npc.say", format("%s|%d|%s", line, cursor, or_null(session_id))};
  completions[1] = (townsfolk_completion){"npc.stats", ""};
  townsfolk_event* event = push(client, TOWNSFOLK_EVENT_COMPLETIONS, ++client->requests, 1, "");
  event->completions = completions;
  event->completion_count = 2;
  event->replace_start = 2;
  event->replace_end = 3;
  return client->requests;
}

townsfolk_request townsfolk_get_stats(townsfolk_client* client) {
  push(client, TOWNSFOLK_EVENT_STATS, ++client->requests, 1, "")->json = "{\"version\":\"9\"}";
  townsfolk_event* event = push(client, TOWNSFOLK_EVENT_ERROR, 0, 0, "events were lost");
  event->dropped_events = 17;
  return client->requests;
}
