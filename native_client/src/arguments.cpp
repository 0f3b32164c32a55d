#include "arguments.h"

#include <cmath>

#include "channel.h"
#include "concept_field.h"
#include "host.h"
#include "ids.h"
#include "utf8.h"

namespace townsfolk {

namespace {

constexpr std::uint32_t kMostWaitingEvents = 1u << 20;
constexpr double kLongestDeadline = 86'400;
constexpr std::size_t kMostPersonas = 32;  // of a session, and variants of a comparison
constexpr std::size_t kMostCast = 8;       // of a story
constexpr std::uint32_t kMostPictures = 4;
constexpr double kLongestStory = 3'600;
constexpr std::uint32_t kKnownSampling = (TOWNSFOLK_SAMPLING_MAX_TOKENS << 1) - 1;

double deadline_of(double given, double otherwise, const char* name) {
  if (given == 0) return otherwise;
  if (!std::isfinite(given) || given < 0 || given > kLongestDeadline) {
    throw Refused(std::string(name) + " must be a number of seconds up to a day");
  }
  return given;
}

void check_address(const std::string& address, const char* name) {
  const bool socket = address.rfind("unix:", 0) == 0 && address.size() > 5;
  const auto colon = address.rfind(':');
  const bool host_and_port = colon != std::string::npos && colon > 0 && colon + 1 < address.size() &&
                             address.find_first_not_of("0123456789", colon + 1) == std::string::npos;
  if (!socket && !host_and_port) {
    throw Refused(std::string(name) + " \"" + address + "\" is neither host:port nor unix:/path");
  }
}

void fill_sampling(const townsfolk_sampling& given, v1::SamplingParams& sampling) {
  if ((given.set & ~kKnownSampling) != 0) throw Refused("sampling.set names values that this library does not know");
  if (given.set & TOWNSFOLK_SAMPLING_TEMPERATURE) sampling.set_temperature(given.temperature);
  if (given.set & TOWNSFOLK_SAMPLING_TOP_P) sampling.set_top_p(given.top_p);
  if (given.set & TOWNSFOLK_SAMPLING_TOP_K) sampling.set_top_k(given.top_k);
  if (given.set & TOWNSFOLK_SAMPLING_MIN_P) sampling.set_min_p(given.min_p);
  if (given.set & TOWNSFOLK_SAMPLING_REPETITION_PENALTY) sampling.set_repetition_penalty(given.repetition_penalty);
  if (given.set & TOWNSFOLK_SAMPLING_SEED) sampling.set_seed(given.seed);
  if (given.set & TOWNSFOLK_SAMPLING_MAX_TOKENS) sampling.set_max_tokens(given.max_tokens);
}

void fill_variant(const townsfolk_variant* given, v1::Variant& variant) {
  const auto known = as_known(given, "townsfolk_variant");
  if (known.kind < TOWNSFOLK_VARIANT_DEFAULT || known.kind > TOWNSFOLK_VARIANT_BASE) {
    throw Refused("variant.kind must be one of townsfolk_variant_kind");
  }
  variant.set_kind(static_cast<v1::VariantKind>(known.kind));
  variant.set_persona_id(text_of(known.persona_id, "variant.persona_id"));
  if (known.has_adapter_scale) variant.set_adapter_scale(known.adapter_scale);
  if (known.system_prompt != nullptr) {
    variant.set_system_prompt(text_of(known.system_prompt, "variant.system_prompt"));
  }
  if (known.sampling.set != 0) fill_sampling(known.sampling, *variant.mutable_sampling());
}

void fill_concept(const townsfolk_story_concept& given, v1::Concept& story_concept) {
  story_concept.set_title(text_of(given.title, "story_concept.title"));
  story_concept.set_hero(text_of(given.hero, "story_concept.hero"));
  story_concept.set_conflict(text_of(given.conflict, "story_concept.conflict"));
  story_concept.set_place(text_of(given.place, "story_concept.place"));
}

void fill_pictures(const townsfolk_compose_options& given, v1::PictureParams& pictures) {
  pictures.set_count(given.picture_count);
  pictures.set_width(given.picture_width);
  pictures.set_height(given.picture_height);
  pictures.set_style(text_of(given.picture_style, "picture_style"));
  pictures.set_negative_prompt(text_of(given.picture_negative_prompt, "picture_negative_prompt"));
  if (given.picture_steps != 0) pictures.set_steps(given.picture_steps);
  if (given.has_picture_seed) pictures.set_seed(given.picture_seed);
  pictures.set_prompts_only(given.prompts_only != 0);
}

}  // namespace

std::string text_of(const char* given, const char* name) {
  if (given == nullptr) return "";
  std::string text = given;
  if (!is_utf8(text)) throw Refused(std::string(name) + " is not UTF-8");
  return text;
}

std::string id_of(const char* given, const char* name) {
  std::string id = text_of(given, name);
  if (!id.empty() && !is_id(id)) {
    throw Refused(std::string(name) + " must be 1 to 128 characters of A-Z a-z 0-9 . _ : -");
  }
  return id;
}

std::string needed_id(const char* given, const char* name) {
  std::string id = id_of(given, name);
  if (id.empty()) throw Refused(std::string(name) + " is missing");
  return id;
}

Settings settings_of(const townsfolk_options* options) {
  townsfolk_options given{};
  if (options != nullptr) given = as_known(options, "townsfolk_options");
  Settings settings;
  settings.address = text_of(given.address, "address");
  settings.token = text_of(given.token, "token");
  if (settings.address.empty()) {
    settings.address = environment_variable("TOWNSFOLK_ADDRESS").value_or("");
    if (!settings.address.empty()) check_address(settings.address, "TOWNSFOLK_ADDRESS");
    if (!settings.address.empty() && settings.token.empty())
      settings.token = environment_variable("TOWNSFOLK_TOKEN").value_or("");
  } else {
    check_address(settings.address, "address");
  }
  if (!can_be_token(settings.token)) throw Refused("the token may hold visible ASCII characters only");
  const std::string certificate = text_of(given.tls_certificate, "tls_certificate");
  if (!certificate.empty()) {
    if (!has_tls()) {
      throw Refused(
          TOWNSFOLK_FAILED_PRECONDITION,
          "this library was built without TLS; leave tls_certificate out or build it with -DTOWNSFOLK_TLS=ON");
    }
    const auto pem = read_text(certificate);
    if (!pem || pem->empty()) throw Refused("tls_certificate " + certificate + " cannot be read");
    settings.tls_certificate_pem = *pem;
  }
  settings.launch = given.launch != 0 && settings.address.empty();
  if (settings.launch && !settings.token.empty()) {
    throw Refused(
        "token does not go with launch: a launched daemon makes a token of its own, which is found by itself; leave "
        "token out, or name the address of the daemon that has it");
  }
  if (given.max_waiting_events > kMostWaitingEvents) throw Refused("max_waiting_events must be at most 1048576");
  if (given.max_waiting_events != 0) settings.max_waiting_events = given.max_waiting_events;
  settings.launch_command = text_of(given.launch_command, "launch_command");
  settings.launch_folder = text_of(given.launch_folder, "launch_folder");
  settings.call_deadline_s = deadline_of(given.call_deadline_s, settings.call_deadline_s, "call_deadline_s");
  settings.turn_deadline_s = deadline_of(given.turn_deadline_s, settings.turn_deadline_s, "turn_deadline_s");
  return settings;
}

v1::OpenRequest open_request(const townsfolk_session_options* options) {
  const auto given = as_known(options, "townsfolk_session_options");
  if (given.persona_count == 0 || given.persona_ids == nullptr) throw Refused("a session needs a persona");
  if (given.persona_count > kMostPersonas) throw Refused("a session has at most 32 personas");
  v1::OpenRequest request;
  request.set_session_id(id_of(given.session_id, "session_id"));
  // chosen here, so that asking twice after a broken connection opens one session
  if (request.session_id().empty()) request.set_session_id(fresh_id());
  for (std::size_t i = 0; i < given.persona_count; ++i) {
    request.add_persona_ids(needed_id(given.persona_ids[i], "persona_ids"));
  }
  request.set_player_name(text_of(given.player_name, "player_name"));
  return request;
}

SayArguments say_arguments(const townsfolk_say_options* options) {
  const auto given = as_known(options, "townsfolk_say_options");
  SayArguments arguments{};
  v1::SayRequest& request = arguments.request;
  request.set_session_id(id_of(given.session_id, "session_id"));
  request.set_persona_id(id_of(given.persona_id, "persona_id"));
  request.set_text(text_of(given.text, "text"));
  request.set_situation(text_of(given.situation, "situation"));
  if (request.session_id().empty() && request.persona_id().empty()) {
    throw Refused("a line outside of a session needs a persona_id");
  }
  if (request.text().empty() && request.situation().empty()) throw Refused("text or situation must be given");
  if (given.priority < TOWNSFOLK_PRIORITY_DEFAULT || given.priority > TOWNSFOLK_PRIORITY_URGENT) {
    throw Refused("priority must be one of townsfolk_priority");
  }
  request.set_priority(static_cast<v1::Priority>(given.priority));
  request.set_turn_id(id_of(given.turn_id, "turn_id"));
  arguments.chosen_turn_id = !request.turn_id().empty();
  if (!arguments.chosen_turn_id) request.set_turn_id(fresh_id());
  request.set_with_cues(given.with_cues != 0);
  if (given.sampling.set != 0) fill_sampling(given.sampling, *request.mutable_sampling());
  arguments.deadline_s = deadline_of(given.deadline_s, 0, "deadline_s");
  return arguments;
}

v1::CompareRequest compare_request(const townsfolk_compare_options* options) {
  const auto given = as_known(options, "townsfolk_compare_options");
  if (given.variant_count == 0 || given.variants == nullptr) throw Refused("a comparison needs a variant");
  if (given.variant_count > kMostPersonas) throw Refused("a comparison has at most 32 variants");
  v1::CompareRequest request;
  request.set_text(text_of(given.text, "text"));
  request.set_situation(text_of(given.situation, "situation"));
  if (request.text().empty() && request.situation().empty()) throw Refused("text or situation must be given");
  request.set_session_id(id_of(given.session_id, "session_id"));
  for (std::size_t i = 0; i < given.variant_count; ++i) fill_variant(given.variants[i], *request.add_variants());
  request.set_top_tokens(given.top_tokens);
  if (given.sampling.set != 0) fill_sampling(given.sampling, *request.mutable_sampling());
  return request;
}

v1::ComposeRequest compose_request(const townsfolk_compose_options* options) {
  const auto given = as_known(options, "townsfolk_compose_options");
  v1::ComposeRequest request;
  request.set_idea(text_of(given.idea, "idea"));
  if (request.idea().empty() && given.story_concept == nullptr) throw Refused("idea or story_concept must be given");
  if (given.story_concept != nullptr) fill_concept(*given.story_concept, mutable_concept_of(request));
  request.set_narrator_persona_id(id_of(given.narrator_persona_id, "narrator_persona_id"));
  if (given.cast_count > kMostCast) throw Refused("a story has a cast of at most 8");
  if (given.cast_count > 0 && given.cast_persona_ids == nullptr) throw Refused("cast_persona_ids is NULL");
  for (std::size_t i = 0; i < given.cast_count; ++i) {
    request.add_cast_persona_ids(needed_id(given.cast_persona_ids[i], "cast_persona_ids"));
  }
  request.set_wish(text_of(given.wish, "wish"));
  request.set_target_words(given.target_words);
  request.set_base_model(given.base_model != 0);
  if (given.sampling.set != 0) fill_sampling(given.sampling, *request.mutable_sampling());
  if (given.picture_count > kMostPictures) throw Refused("a story has at most 4 pictures");
  if (given.picture_count != 0) fill_pictures(given, *request.mutable_picture());
  request.set_deadline_s(deadline_of(given.deadline_s, kLongestStory, "deadline_s"));
  if (request.deadline_s() > kLongestStory) throw Refused("deadline_s of a story must be at most 3600");
  return request;
}

}  // namespace townsfolk
