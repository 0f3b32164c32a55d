/* Townsfolk client: NPC dialogue for game engines, as a plain C interface.
 *
 * One shared library holds everything; nothing of gRPC is visible outside of it. The rules are few:
 *
 * - Nothing blocks. Every request returns at once with a number; what comes of it arrives as events.
 * - Nothing calls back. `townsfolk_poll` hands out events on the thread that calls it, one at a time. An event and
 *   everything it points to stays valid until the next `townsfolk_poll` or `townsfolk_close` of the same client.
 * - Every request ends with exactly one event whose `last` is 1, whatever happens: an answer, an error or a cancel. The
 *   only exception is `townsfolk_close`, after which no events can be asked for.
 * - All text is UTF-8 ending in NUL; a delta never splits a code point. Text that a caller hands in is copied.
 * - Every struct that a caller fills begins with `struct_size`, its size as the caller compiled it. A library that
 *   knows a longer struct treats what is missing as zero; zero and NULL always mean "not given".
 * - A client may be used from one thread at a time; different clients are independent. `townsfolk_close` may follow a
 *   call on another thread once that call has returned.
 */
#ifndef TOWNSFOLK_CLIENT_H
#define TOWNSFOLK_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#if defined(TOWNSFOLK_CLIENT_BUILD)
#define TOWNSFOLK_CLIENT_API __declspec(dllexport)
#else
#define TOWNSFOLK_CLIENT_API __declspec(dllimport)
#endif
#else
#define TOWNSFOLK_CLIENT_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Version of this interface. Grows by one with every change that an older caller could notice. Compare it with
 * `townsfolk_abi_version()` before any other call. */
#define TOWNSFOLK_ABI_VERSION 1

/* A connection to a daemon, with everything that runs on it. */
typedef struct townsfolk_client townsfolk_client;

/* Number of a request of one client, counted from 1. 0 stands for no request. */
typedef uint64_t townsfolk_request;

/* How a call or a request ended: the gRPC status codes, with their numbers. */
typedef enum townsfolk_status {
  TOWNSFOLK_OK = 0,
  TOWNSFOLK_CANCELLED = 1,
  TOWNSFOLK_UNKNOWN = 2,
  TOWNSFOLK_INVALID_ARGUMENT = 3,
  TOWNSFOLK_DEADLINE_EXCEEDED = 4,
  TOWNSFOLK_NOT_FOUND = 5,
  TOWNSFOLK_ALREADY_EXISTS = 6,
  TOWNSFOLK_PERMISSION_DENIED = 7,
  TOWNSFOLK_RESOURCE_EXHAUSTED = 8,
  TOWNSFOLK_FAILED_PRECONDITION = 9,
  TOWNSFOLK_ABORTED = 10,
  TOWNSFOLK_OUT_OF_RANGE = 11,
  TOWNSFOLK_UNIMPLEMENTED = 12,
  TOWNSFOLK_INTERNAL = 13,
  TOWNSFOLK_UNAVAILABLE = 14,
  TOWNSFOLK_DATA_LOSS = 15,
  TOWNSFOLK_UNAUTHENTICATED = 16
} townsfolk_status;

/* What an event says. Skip kinds that you do not know. */
typedef enum townsfolk_event_kind {
  /* The connection changed: `connection` says to what, `text` why. Belongs to no request. */
  TOWNSFOLK_EVENT_CONNECTION = 1,
  /* A request failed: `status`, `text` (one sentence), `field`, `retry_after_s`. Last event of its request. With
   * `request` 0: events were lost because nobody polled, `dropped_events` of them. */
  TOWNSFOLK_EVENT_ERROR = 2,
  /* A turn was taken up: `adapter_applied`, `prompt_tokens`, `cached_prompt_tokens`. */
  TOWNSFOLK_EVENT_STARTED = 3,
  /* More of the spoken line: append `text`. `token_count`. */
  TOWNSFOLK_EVENT_SPEECH_DELTA = 4,
  /* The persona shows an emotion: `text` is its name. */
  TOWNSFOLK_EVENT_EMOTION = 5,
  /* The persona does something: `text` is the action's name, `json` its arguments as a JSON object. */
  TOWNSFOLK_EVENT_ACTION = 6,
  /* A turn ended: `finish_reason`, `text` (the whole line), `fallback_reason`, `stats`. Last event of a turn. */
  TOWNSFOLK_EVENT_FINISHED = 7,
  /* Answer to `townsfolk_list_personas`: `personas`. */
  TOWNSFOLK_EVENT_PERSONAS = 8,
  /* A session was opened, restored or copied: `session_id`; after a restore, `text` names missing personas with
   * commas between them. */
  TOWNSFOLK_EVENT_SESSION_OPENED = 9,
  /* A session was closed. */
  TOWNSFOLK_EVENT_SESSION_CLOSED = 10,
  /* A session was saved: `bytes` and `byte_count` are for the game's own save file. */
  TOWNSFOLK_EVENT_SESSION_SAVED = 11,
  /* Answer to `townsfolk_heard`: `text` is what the persona remembers of its line. */
  TOWNSFOLK_EVENT_HEARD = 12,
  /* Output of a console command: append `text` in `console_style`. */
  TOWNSFOLK_EVENT_CONSOLE_OUTPUT = 13,
  /* A console command ended well. */
  TOWNSFOLK_EVENT_CONSOLE_FINISHED = 14,
  /* Answer to `townsfolk_console_complete`: `completions`, `replace_start`, `replace_end` in code points. */
  TOWNSFOLK_EVENT_COMPLETIONS = 15,
  /* A comparison ended: every variant has had its own FINISHED or ERROR before. */
  TOWNSFOLK_EVENT_COMPARED = 16,
  /* Answer to `townsfolk_get_stats`: `json`, field by field as in daemon.proto. */
  TOWNSFOLK_EVENT_STATS = 17,
  /* A scene was closed, by `townsfolk_scene_close` or by the daemon. Last event of a scene. */
  TOWNSFOLK_EVENT_SCENE_CLOSED = 18,
  /* A part of a story began: `story` tells which, `persona_id` who writes it. */
  TOWNSFOLK_EVENT_STORY_PART_STARTED = 19,
  /* More text of a part of a story: append `text`. */
  TOWNSFOLK_EVENT_STORY_DELTA = 20,
  /* A part of a story is done: `text` (the whole of it; "" for a picture), `finish_reason`, `stats`, and, for the
   * concept, `story->story_concept`. */
  TOWNSFOLK_EVENT_STORY_PART_FINISHED = 21,
  /* A picture of a story failed, and the story goes on without it: `status`, `text` (one sentence), `field`,
   * `retry_after_s`. */
  TOWNSFOLK_EVENT_STORY_PART_FAILED = 22,
  /* A picture is being drawn: `story->step` of `story->total_steps` are done. */
  TOWNSFOLK_EVENT_PICTURE_PROGRESS = 23,
  /* A picture is here as a whole: `bytes` and `byte_count` are its file, at most 16 MiB; `story` tells the rest. */
  TOWNSFOLK_EVENT_PICTURE = 24,
  /* A story is done: `text` (the whole of it); `story` tells what it took. Last event of a story. */
  TOWNSFOLK_EVENT_STORY_FINISHED = 25
} townsfolk_event_kind;

/* State of the connection. */
typedef enum townsfolk_connection {
  /* Trying, for the first time or again. */
  TOWNSFOLK_CONNECTION_CONNECTING = 0,
  /* The daemon that is to be launched loads its model. */
  TOWNSFOLK_CONNECTION_LAUNCHING = 1,
  /* Connected, and the daemon serves. */
  TOWNSFOLK_CONNECTION_READY = 2,
  /* Connected, but the engine loads or is being started again: requests wait for it as long as their deadline lets
   * them. */
  TOWNSFOLK_CONNECTION_NOT_SERVING = 3,
  /* Not connected; the next try follows by itself. */
  TOWNSFOLK_CONNECTION_LOST = 4,
  /* Given up: the token is wrong, or the daemon cannot be launched or crashes again and again. `text` says what to do.
   */
  TOWNSFOLK_CONNECTION_FAILED = 5
} townsfolk_connection;

/* Why a turn ended. */
typedef enum townsfolk_finish_reason {
  TOWNSFOLK_FINISH_UNSPECIFIED = 0,
  TOWNSFOLK_FINISH_STOP = 1,
  TOWNSFOLK_FINISH_LENGTH = 2,
  TOWNSFOLK_FINISH_CANCELLED = 3,
  TOWNSFOLK_FINISH_DEADLINE = 4
} townsfolk_finish_reason;

/* How urgent a line is; see common.proto. 0 is normal. */
typedef enum townsfolk_priority {
  TOWNSFOLK_PRIORITY_DEFAULT = 0,
  TOWNSFOLK_PRIORITY_BACKGROUND = 1,
  TOWNSFOLK_PRIORITY_NORMAL = 2,
  TOWNSFOLK_PRIORITY_URGENT = 3
} townsfolk_priority;

/* What of a persona a variant of a comparison uses; see preview.proto. */
typedef enum townsfolk_variant_kind {
  TOWNSFOLK_VARIANT_DEFAULT = 0,
  TOWNSFOLK_VARIANT_PERSONA = 1,
  TOWNSFOLK_VARIANT_PROMPT_ONLY = 2,
  TOWNSFOLK_VARIANT_ADAPTER_ONLY = 3,
  TOWNSFOLK_VARIANT_BASE = 4
} townsfolk_variant_kind;

/* What a piece of console output is. */
typedef enum townsfolk_console_style {
  TOWNSFOLK_CONSOLE_UNSPECIFIED = 0,
  TOWNSFOLK_CONSOLE_PLAIN = 1,
  TOWNSFOLK_CONSOLE_HEADING = 2,
  TOWNSFOLK_CONSOLE_SPEECH = 3,
  TOWNSFOLK_CONSOLE_DETAIL = 4,
  TOWNSFOLK_CONSOLE_WARNING = 5,
  TOWNSFOLK_CONSOLE_ERROR = 6
} townsfolk_console_style;

/* A part of a story; see story.proto. */
typedef enum townsfolk_story_part {
  TOWNSFOLK_STORY_PART_UNSPECIFIED = 0,
  TOWNSFOLK_STORY_PART_CONCEPT = 1,
  TOWNSFOLK_STORY_PART_STORY = 2,
  TOWNSFOLK_STORY_PART_PICTURE_PROMPT = 3,
  TOWNSFOLK_STORY_PART_PICTURE = 4
} townsfolk_story_part;

/* Which fields of `townsfolk_sampling` count; the persona's own value stands for the others. */
enum {
  TOWNSFOLK_SAMPLING_TEMPERATURE = 1 << 0,
  TOWNSFOLK_SAMPLING_TOP_P = 1 << 1,
  TOWNSFOLK_SAMPLING_TOP_K = 1 << 2,
  TOWNSFOLK_SAMPLING_MIN_P = 1 << 3,
  TOWNSFOLK_SAMPLING_REPETITION_PENALTY = 1 << 4,
  TOWNSFOLK_SAMPLING_SEED = 1 << 5,
  TOWNSFOLK_SAMPLING_MAX_TOKENS = 1 << 6
};

/* How a line is sampled; see SamplingParams in common.proto for ranges and defaults. */
typedef struct townsfolk_sampling {
  uint32_t set; /* which of the fields below count: TOWNSFOLK_SAMPLING_… put together with | */
  uint32_t top_k;
  uint32_t max_tokens;
  uint32_t reserved;
  uint64_t seed;
  double temperature;
  double top_p;
  double min_p;
  double repetition_penalty;
} townsfolk_sampling;

/* Where and how to connect. All of it may be zero: then the daemon that runs on this machine is found by itself. */
typedef struct townsfolk_options {
  size_t struct_size;
  /* "host:port" or "unix:/path". NULL: the environment's TOWNSFOLK_ADDRESS, else the daemon that has announced itself
   * to this user. */
  const char* address;
  /* Token that the daemon asks for. NULL: the announced one. Refused together with `launch`, unless an address is
   * given: a launched daemon makes a token of its own, which is found by itself. */
  const char* token;
  /* PEM file of the certificate authority to trust, for TLS. NULL: no TLS. In a library built without TLS this is
   * FAILED_PRECONDITION. */
  const char* tls_certificate;
  /* 1: start a daemon if none runs, and again if it is lost. A daemon that is lost five times in a row within ten
   * seconds is given up: CONNECTION_FAILED. Ignored when an address is given. */
  int32_t launch;
  /* Events that may wait for `townsfolk_poll`. 0: 8192. When they are too many, turns are cancelled and the loss is
   * told by an ERROR event with `request` 0 and by an ERROR event for every turn hit. */
  uint32_t max_waiting_events;
  /* Command that launches the daemon, split at spaces unless quoted. NULL: TOWNSFOLK_COMMAND, else `townsfolk`
   * beside the game, in a virtual environment of the project, or on the PATH. "serve" and its options are added. */
  const char* launch_command;
  /* Working directory of the launched daemon, where it looks for ./personas. NULL: that of this process. */
  const char* launch_folder;
  /* Seconds that calls other than turns may take. 0: 10. */
  double call_deadline_s;
  /* Seconds that turns may take if they name no deadline. 0: 120. */
  double turn_deadline_s;
} townsfolk_options;

/* A line to ask for. `persona_id` may be NULL in a session of one persona; `text` or `situation` must be given. */
typedef struct townsfolk_say_options {
  size_t struct_size;
  const char* session_id; /* NULL: a one-off line, not remembered */
  const char* persona_id;
  const char* text;
  const char* situation;
  const char* turn_id; /* NULL: one is chosen; events carry it */
  int32_t priority;    /* townsfolk_priority */
  int32_t with_cues;   /* 1: also EMOTION and perhaps ACTION events after the line; see SayRequest in dialogue.proto */
  double deadline_s;   /* the persona's fallback line is spoken if its own cannot come in time */
  townsfolk_sampling sampling;
} townsfolk_say_options;

/* A conversation to open. */
typedef struct townsfolk_session_options {
  size_t struct_size;
  const char* session_id; /* NULL: one is chosen */
  const char* const* persona_ids;
  size_t persona_count;
  const char* player_name; /* NULL: not known to the personas */
} townsfolk_session_options;

/* One variant of a comparison. */
typedef struct townsfolk_variant {
  size_t struct_size;
  const char* persona_id; /* NULL for TOWNSFOLK_VARIANT_BASE */
  int32_t kind;           /* townsfolk_variant_kind */
  int32_t has_adapter_scale;
  double adapter_scale;      /* 0 to 2; counts if `has_adapter_scale` is 1, else the adapter is applied as trained */
  const char* system_prompt; /* in place of the persona's; NULL: its own */
  townsfolk_sampling sampling;
} townsfolk_variant;

/* One line in many variants, side by side. */
typedef struct townsfolk_compare_options {
  size_t struct_size;
  const char* text;
  const char* situation;
  const char* session_id; /* history to follow; NULL: none */
  const townsfolk_variant* const* variants;
  size_t variant_count;
  uint32_t top_tokens; /* likeliest tokens to report at each place, at most 20; 0: no probabilities */
  uint32_t reserved;
  townsfolk_sampling sampling; /* of every variant */
} townsfolk_compare_options;

/* What a story is about. */
typedef struct townsfolk_story_concept {
  const char* title;
  const char* hero;
  const char* conflict;
  const char* place;
} townsfolk_story_concept;

/* A story to write and to illustrate; see ComposeRequest in story.proto for ranges and defaults. */
typedef struct townsfolk_compose_options {
  size_t struct_size;
  const char* idea;                    /* may be NULL where `story_concept` is given */
  const char* narrator_persona_id;     /* who tells it; NULL: the task persona `story_writer` */
  const char* const* cast_persona_ids; /* who appears in it, at most 8 */
  size_t cast_count;
  const townsfolk_story_concept* story_concept; /* of an earlier story, to write it anew; NULL: made of the idea */
  const char* wish;                             /* what to change, such as "darker" */
  const char* picture_style;                    /* such as "ink and watercolour"; NULL: the daemon's own */
  const char* picture_negative_prompt;          /* what the pictures are not to show */
  uint64_t picture_seed;                        /* counts if `has_picture_seed` is 1, else a fresh one */
  int32_t has_picture_seed;
  uint32_t picture_count; /* at most 4; 0: none, but a prompt is still written */
  uint32_t picture_width; /* pixels; 0: the daemon's own */
  uint32_t picture_height;
  uint32_t picture_steps; /* 0: what suits the picture model */
  int32_t prompts_only;   /* 1: write the pictures' prompts, but draw nothing */
  uint32_t target_words;  /* 0: what its writer was trained for */
  int32_t base_model;     /* 1: write with the base model and the personas' prompts alone */
  double deadline_s;      /* seconds that all of it may take, at most 3600; 0: an hour */
  townsfolk_sampling sampling;
} townsfolk_compose_options;

/* A persona of the daemon. */
typedef struct townsfolk_persona {
  const char* id;
  const char* name;
  const char* summary;
  int32_t has_adapter; /* for the daemon's model */
  uint32_t adapter_rank;
} townsfolk_persona;

/* A way to go on with a console line. */
typedef struct townsfolk_completion {
  const char* text;
  const char* description;
} townsfolk_completion;

/* A token that could stand at a place. Its bytes may be a part of a character only. */
typedef struct townsfolk_token {
  const char* bytes;
  size_t byte_count;
  uint32_t token_id;
  uint32_t reserved;
  double log_probability; /* natural logarithm, before temperature and the cuts of sampling */
} townsfolk_token;

/* How likely a sampled token was. */
typedef struct townsfolk_token_probability {
  uint32_t position;
  uint32_t candidate_count;
  townsfolk_token sampled;
  const townsfolk_token* candidates; /* likeliest first */
} townsfolk_token_probability;

/* What a turn cost; see TurnStats in common.proto. */
typedef struct townsfolk_turn_stats {
  uint32_t prompt_tokens;
  uint32_t cached_prompt_tokens;
  uint32_t completion_tokens;
  uint32_t max_batch_rows;
  uint32_t max_batch_adapters;
  uint32_t shared_steps;
  double queue_s;
  double time_to_first_token_s;
  double total_s;
  double tokens_per_s;
} townsfolk_turn_stats;

/* What an event tells of a story. Fields that the event does not need are zero; texts are then "". */
typedef struct townsfolk_story {
  const char* story_id;
  int32_t part;           /* townsfolk_story_part */
  uint32_t picture_index; /* which picture, or picture's prompt, counted from 0 */
  uint32_t step;          /* denoising steps done; of a picture that is here: all of them */
  uint32_t total_steps;
  townsfolk_story_concept story_concept;
  const char* media_type; /* what a picture's bytes are: "image/png" or "image/webp" */
  const char* prompt;     /* what a picture was drawn from */
  uint32_t width;         /* of a picture, in pixels */
  uint32_t height;
  uint64_t seed; /* that a picture was drawn with, or that the texts of a story that is done began with */
  int32_t has_picture;
  uint32_t text_steps; /* decode steps of story and prompts together */
  double total_s;      /* that a part, or all of it, took */
  double texts_s;      /* that story and prompts took */
} townsfolk_story;

/* One thing that happened. Fields that `kind` does not name are zero; texts are then "" and never NULL. */
typedef struct townsfolk_event {
  int32_t kind; /* townsfolk_event_kind */
  int32_t last; /* 1: nothing follows for this request (for a turn of a scene: for this turn) */
  townsfolk_request request;
  townsfolk_request scene; /* the scene a turn belongs to, else 0 */
  const char* turn_id;
  const char* session_id;
  const char* persona_id;
  const char* text;
  size_t text_bytes; /* length of `text` without the NUL */
  const char* json;
  const char* field;           /* request field at fault */
  const char* fallback_reason; /* "busy", "timeout" or "error" where the line is a fallback line, else "" */
  int32_t status;              /* townsfolk_status */
  int32_t connection;          /* townsfolk_connection */
  int32_t finish_reason;       /* townsfolk_finish_reason */
  int32_t console_style;       /* townsfolk_console_style */
  int32_t variant;             /* which variant of a comparison, counted from 0 */
  int32_t adapter_applied;
  uint32_t token_count;
  uint32_t prompt_tokens;
  uint32_t cached_prompt_tokens;
  uint32_t replace_start;
  uint32_t replace_end;
  uint32_t dropped_events;
  uint64_t sequence;       /* number of the event within its turn */
  int64_t sampled_unix_ns; /* when the latest token of a delta was sampled, by the daemon's clock */
  double retry_after_s;
  const uint8_t* bytes;
  size_t byte_count;
  const townsfolk_persona* personas;
  size_t persona_count;
  const townsfolk_completion* completions;
  size_t completion_count;
  const townsfolk_token_probability* tokens;
  size_t token_probability_count;
  townsfolk_turn_stats stats;
  const townsfolk_story* story; /* NULL unless the event is of a story */
} townsfolk_event;

/* The interface version of the library; see TOWNSFOLK_ABI_VERSION. */
TOWNSFOLK_CLIENT_API uint32_t townsfolk_abi_version(void);

/* The library's own version, such as "0.1.0". */
TOWNSFOLK_CLIENT_API const char* townsfolk_version(void);

/* A client, which connects in the background: its first event tells how that goes. Returns TOWNSFOLK_OK and fills
 * `client`, or INVALID_ARGUMENT (see `townsfolk_last_error`) and sets it to NULL. `options` may be NULL. */
TOWNSFOLK_CLIENT_API int32_t townsfolk_connect(const townsfolk_options* options, townsfolk_client** client);

/* Cancels everything that runs and frees the client, within 100 ms. NULL is allowed. */
TOWNSFOLK_CLIENT_API void townsfolk_close(townsfolk_client* client);

/* The next event, or NULL if there is none. Never waits; with nothing to say it takes less than a microsecond and
 * allocates nothing. */
TOWNSFOLK_CLIENT_API const townsfolk_event* townsfolk_poll(townsfolk_client* client);

/* One sentence on why the last call on this thread returned 0 or a status other than OK. Never NULL; valid until the
 * next call on this thread. */
TOWNSFOLK_CLIENT_API const char* townsfolk_last_error(void);

/* The requests. Each returns its number, or 0 for arguments that cannot be right (`townsfolk_last_error`). While there
 * is no connection they wait for one as long as their deadline lets them. */

/* → PERSONAS */
TOWNSFOLK_CLIENT_API townsfolk_request townsfolk_list_personas(townsfolk_client* client);
/* → SESSION_OPENED */
TOWNSFOLK_CLIENT_API townsfolk_request townsfolk_open_session(townsfolk_client* client,
                                                              const townsfolk_session_options* options);
/* → SESSION_CLOSED */
TOWNSFOLK_CLIENT_API townsfolk_request townsfolk_close_session(townsfolk_client* client, const char* session_id);
/* → SESSION_SAVED */
TOWNSFOLK_CLIENT_API townsfolk_request townsfolk_save_session(townsfolk_client* client, const char* session_id);
/* → SESSION_OPENED. `session_id` NULL: the id it was saved under. */
TOWNSFOLK_CLIENT_API townsfolk_request townsfolk_restore_session(townsfolk_client* client, const uint8_t* bytes,
                                                                 size_t byte_count, const char* session_id);
/* → SESSION_OPENED with the copy's id. `new_session_id` NULL: one is chosen. */
TOWNSFOLK_CLIENT_API townsfolk_request townsfolk_fork_session(townsfolk_client* client, const char* session_id,
                                                              const char* new_session_id);
/* One line → STARTED, SPEECH_DELTA …, EMOTION …, ACTION …, FINISHED. A connection that breaks meanwhile is made again
 * and the line taken up where it was. */
TOWNSFOLK_CLIENT_API townsfolk_request townsfolk_say(townsfolk_client* client, const townsfolk_say_options* options);
/* A scene: any number of lines on one stream, cheaper for many speakers → SCENE_CLOSED at its end. */
TOWNSFOLK_CLIENT_API townsfolk_request townsfolk_scene_open(townsfolk_client* client);
/* One line in a scene; its events are those of `townsfolk_say` with `scene` set. */
TOWNSFOLK_CLIENT_API townsfolk_request townsfolk_scene_say(townsfolk_client* client, townsfolk_request scene,
                                                           const townsfolk_say_options* options);
/* Lets the lines of a scene end, then closes it. To end them at once, `townsfolk_cancel` the scene. Returns 1, or 0 for
 * a scene that is not open. */
TOWNSFOLK_CLIENT_API int32_t townsfolk_scene_close(townsfolk_client* client, townsfolk_request scene);
/* Cancels a request of any kind. A turn still gets its last event: FINISHED with TOWNSFOLK_FINISH_CANCELLED and what
 * was spoken until then; anything else ends with ERROR and TOWNSFOLK_CANCELLED. Returns 1, or 0 if it has ended
 * already. */
TOWNSFOLK_CLIENT_API int32_t townsfolk_cancel(townsfolk_client* client, townsfolk_request request);
/* Says how many characters (code points) of a line the player heard, so that the persona remembers no more → HEARD */
TOWNSFOLK_CLIENT_API townsfolk_request townsfolk_heard(townsfolk_client* client, const char* turn_id,
                                                       uint32_t characters);
/* → the events of a line for each variant (`variant` tells which), then COMPARED */
TOWNSFOLK_CLIENT_API townsfolk_request townsfolk_compare(townsfolk_client* client,
                                                         const townsfolk_compare_options* options);
/* One console line → CONSOLE_OUTPUT …, CONSOLE_FINISHED. `session_id` may be NULL; `columns` 0: 80. */
TOWNSFOLK_CLIENT_API townsfolk_request townsfolk_console_execute(townsfolk_client* client, const char* line,
                                                                 const char* session_id, uint32_t columns);
/* → COMPLETIONS. `cursor` counts code points before it; negative: at the end. */
TOWNSFOLK_CLIENT_API townsfolk_request townsfolk_console_complete(townsfolk_client* client, const char* line,
                                                                  int32_t cursor, const char* session_id);
/* A story with pictures → STORY_PART_STARTED, STORY_DELTA …, PICTURE_PROGRESS …, PICTURE, STORY_PART_FINISHED or
 * STORY_PART_FAILED, each part its own; then STORY_FINISHED. Is not taken up again where a connection breaks. */
TOWNSFOLK_CLIENT_API townsfolk_request townsfolk_compose(townsfolk_client* client,
                                                         const townsfolk_compose_options* options);
/* → STATS */
TOWNSFOLK_CLIENT_API townsfolk_request townsfolk_get_stats(townsfolk_client* client);

#ifdef __cplusplus
}
#endif

#endif /* TOWNSFOLK_CLIENT_H */
