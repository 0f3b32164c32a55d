// The C++ client under test: townsfolk_client.h, used as a game loop uses it. Commands come in on stdin, events go out
// on stdout; docs/conformance.md has the protocol.
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "townsfolk_client.h"

namespace {

constexpr int kFrameMs = 2;

// The fields of a message, in their order.
class Fields {
 public:
  void add(std::string key, std::string value) { pairs_.emplace_back(std::move(key), std::move(value)); }

  bool has(const std::string& key) const { return !all(key).empty(); }

  // The value, or NULL where the C interface wants to hear that there is none.
  const char* given(const std::string& key) const {
    for (const auto& pair : pairs_) {
      if (pair.first == key) return pair.second.c_str();
    }
    return nullptr;
  }

  std::string text(const std::string& key) const {
    const char* value = given(key);
    if (value == nullptr) throw std::runtime_error("the command lacks " + key);
    return value;
  }

  double number(const std::string& key, double otherwise = 0) const {
    const char* value = given(key);
    return value == nullptr ? otherwise : std::strtod(value, nullptr);
  }

  std::vector<std::string> all(const std::string& key) const {
    std::vector<std::string> values;
    for (const auto& pair : pairs_) {
      if (pair.first == key) values.push_back(pair.second);
    }
    return values;
  }

 private:
  std::vector<std::pair<std::string, std::string>> pairs_;
};

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts(1);
  for (char c : text) {
    if (c == at) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

std::string unescaped(const std::string& text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      plain += text[i];
      continue;
    }
    const char letter = text[++i];
    plain += letter == 't' ? '\t' : letter == 'n' ? '\n' : letter == 'r' ? '\r' : letter;
  }
  return plain;
}

std::string escaped(const std::string& plain) {
  std::string text;
  for (char c : plain) {
    if (c == '\\')
      text += "\\\\";
    else if (c == '\t')
      text += "\\t";
    else if (c == '\n')
      text += "\\n";
    else if (c == '\r')
      text += "\\r";
    else
      text += c;
  }
  return text;
}

std::string hex(const void* data, size_t size) {
  static const char digits[] = "0123456789abcdef";
  const auto* bytes = static_cast<const unsigned char*>(data);
  std::string text;
  for (size_t i = 0; i < size; ++i) {
    text += digits[bytes[i] >> 4];
    text += digits[bytes[i] & 15];
  }
  return text;
}

std::vector<uint8_t> bytes_of(const std::string& hex_digits) {
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i + 1 < hex_digits.size(); i += 2) {
    bytes.push_back(static_cast<uint8_t>(std::stoi(hex_digits.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

// One event for the driver.
class Report {
 public:
  Report(const std::string& kind, const std::string& label) : line_(kind) {
    if (!label.empty()) with("of", label);
  }

  Report& with(const std::string& key, const std::string& value) {
    line_ += "\t" + key + "=" + escaped(value);
    return *this;
  }

  void send() const {
    std::fputs(line_.c_str(), stdout);
    std::fputc('\n', stdout);
    std::fflush(stdout);
  }

 private:
  std::string line_;
};

const char* status_name(int32_t status) {
  static const char* const names[] = {
      "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
      "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
      "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
      "DATA_LOSS", "UNAUTHENTICATED"};
  return names[status];
}

const char* finish_name(int32_t reason) {
  static const char* const names[] = {"unspecified", "stop", "length", "cancelled", "deadline"};
  return names[reason];
}

const char* connection_name(int32_t connection) {
  static const char* const names[] = {"connecting", "launching", "ready", "not_serving", "lost", "failed"};
  return names[connection];
}

const char* style_name(int32_t style) {
  static const char* const names[] = {"unspecified", "plain", "heading", "speech", "detail", "warning", "error"};
  return names[style];
}

const char* part_name(int32_t part) {
  static const char* const names[] = {"unspecified", "concept", "story", "picture_prompt", "picture"};
  return names[part];
}

int32_t priority_of(const std::string& name) {
  if (name == "background") return TOWNSFOLK_PRIORITY_BACKGROUND;
  if (name == "urgent") return TOWNSFOLK_PRIORITY_URGENT;
  return TOWNSFOLK_PRIORITY_NORMAL;
}

int32_t variant_kind_of(const std::string& name) {
  if (name == "prompt_only") return TOWNSFOLK_VARIANT_PROMPT_ONLY;
  if (name == "adapter_only") return TOWNSFOLK_VARIANT_ADAPTER_ONLY;
  if (name == "base") return TOWNSFOLK_VARIANT_BASE;
  return TOWNSFOLK_VARIANT_PERSONA;
}

townsfolk_sampling sampling_of(const Fields& fields) {
  townsfolk_sampling sampling = {};
  if (fields.has("seed")) {
    sampling.set |= TOWNSFOLK_SAMPLING_SEED;
    sampling.seed = static_cast<uint64_t>(fields.number("seed"));
  }
  if (fields.has("max_tokens")) {
    sampling.set |= TOWNSFOLK_SAMPLING_MAX_TOKENS;
    sampling.max_tokens = static_cast<uint32_t>(fields.number("max_tokens"));
  }
  return sampling;
}

townsfolk_say_options say_options(const Fields& fields) {
  townsfolk_say_options options = {};
  options.struct_size = sizeof options;
  options.session_id = fields.given("session");
  options.persona_id = fields.given("persona");
  options.text = fields.given("text");
  options.situation = fields.given("situation");
  options.turn_id = fields.given("turn");
  options.priority = fields.has("priority") ? priority_of(fields.text("priority")) : TOWNSFOLK_PRIORITY_DEFAULT;
  options.deadline_s = fields.number("deadline_s");
  options.sampling = sampling_of(fields);
  return options;
}

// A client and the names that the driver has given to its requests.
class Runner {
 public:
  ~Runner() { townsfolk_close(client_); }

  void obey(const std::string& command, const Fields& fields) {
    if (command == "connect")
      connect(fields);
    else if (command == "close")
      close(fields);
    else if (command == "pause")
      paused_ = true;
    else if (command == "resume")
      paused_ = false;
    else if (command == "cancel")
      townsfolk_cancel(client_, number_of(fields.text("request")));
    else if (command == "scene_close")
      townsfolk_scene_close(client_, number_of(fields.text("scene")));
    else
      ask(command, fields);
  }

  // What a game does once a frame.
  void frame() {
    if (client_ == nullptr || paused_) return;
    while (const townsfolk_event* event = townsfolk_poll(client_)) tell(*event);
  }

 private:
  void connect(const Fields& fields) {
    townsfolk_options options = {};
    options.struct_size = sizeof options;
    options.address = fields.given("address");
    options.token = fields.given("token");
    options.launch = fields.number("launch") != 0;
    options.launch_folder = fields.given("launch_folder");
    if (townsfolk_connect(&options, &client_) != TOWNSFOLK_OK) throw std::runtime_error(townsfolk_last_error());
  }

  void close(const Fields& fields) {
    paused_ = false;
    frame();
    townsfolk_close(client_);
    client_ = nullptr;
    labels_.clear();
    comparisons_.clear();
    Report("closed", fields.text("as")).with("last", "1").send();
  }

  // A request that is refused right away is told as the event that it would else have ended with.
  void ask(const std::string& command, const Fields& fields) {
    const std::string label = fields.text("as");
    const townsfolk_request number = request(command, fields);
    if (number != 0) {
      labels_[number] = label;
    } else {
      const std::string why = townsfolk_last_error();
      Report("error", label).with("status", "INVALID_ARGUMENT").with("text", why).with("last", "1").send();
    }
  }

  townsfolk_request request(const std::string& command, const Fields& fields) {
    if (command == "list_personas") return townsfolk_list_personas(client_);
    if (command == "get_stats") return townsfolk_get_stats(client_);
    if (command == "open_session") return open_session(fields);
    if (command == "close_session") return townsfolk_close_session(client_, fields.given("session"));
    if (command == "save_session") return townsfolk_save_session(client_, fields.given("session"));
    if (command == "restore_session") {
      const std::vector<uint8_t> state = bytes_of(fields.text("state"));
      return townsfolk_restore_session(client_, state.data(), state.size(), fields.given("session"));
    }
    if (command == "fork_session") {
      return townsfolk_fork_session(client_, fields.given("session"), fields.given("copy"));
    }
    if (command == "say") {
      const townsfolk_say_options options = say_options(fields);
      return townsfolk_say(client_, &options);
    }
    if (command == "scene_open") return townsfolk_scene_open(client_);
    if (command == "scene_say") {
      const townsfolk_say_options options = say_options(fields);
      return townsfolk_scene_say(client_, number_of(fields.text("scene")), &options);
    }
    if (command == "heard") {
      return townsfolk_heard(client_, fields.given("turn"), static_cast<uint32_t>(fields.number("characters")));
    }
    if (command == "compare") return compare(fields);
    if (command == "compose") return compose(fields);
    if (command == "execute") {
      return townsfolk_console_execute(client_, fields.given("line"), fields.given("session"), 0);
    }
    if (command == "complete") {
      const int32_t cursor = static_cast<int32_t>(fields.number("cursor", -1));
      return townsfolk_console_complete(client_, fields.given("line"), cursor, fields.given("session"));
    }
    throw std::runtime_error("unknown command " + command);
  }

  townsfolk_request open_session(const Fields& fields) {
    const std::vector<std::string> personas = fields.all("persona");
    std::vector<const char*> ids;
    for (const std::string& persona : personas) ids.push_back(persona.c_str());
    townsfolk_session_options options = {};
    options.struct_size = sizeof options;
    options.session_id = fields.given("session");
    options.persona_ids = ids.data();
    options.persona_count = ids.size();
    options.player_name = fields.given("player");
    return townsfolk_open_session(client_, &options);
  }

  townsfolk_request compare(const Fields& fields) {
    std::vector<std::vector<std::string>> texts;  // persona, kind, perhaps scale
    for (const std::string& text : fields.all("variant")) texts.push_back(split(text, ' '));
    std::vector<townsfolk_variant> variants(texts.size());
    std::vector<const townsfolk_variant*> pointers;
    for (size_t i = 0; i < texts.size(); ++i) {
      variants[i].struct_size = sizeof(townsfolk_variant);
      variants[i].persona_id = texts[i][0] == "-" ? nullptr : texts[i][0].c_str();
      variants[i].kind = variant_kind_of(texts[i][1]);
      variants[i].has_adapter_scale = texts[i].size() > 2;
      variants[i].adapter_scale = texts[i].size() > 2 ? std::stod(texts[i][2]) : 0;
      pointers.push_back(&variants[i]);
    }
    townsfolk_compare_options options = {};
    options.struct_size = sizeof options;
    options.text = fields.given("text");
    options.situation = fields.given("situation");
    options.session_id = fields.given("session");
    options.variants = pointers.data();
    options.variant_count = pointers.size();
    options.top_tokens = static_cast<uint32_t>(fields.number("top_tokens"));
    options.sampling = sampling_of(fields);
    const townsfolk_request number = townsfolk_compare(client_, &options);
    comparisons_.insert(number);
    return number;
  }

  townsfolk_request compose(const Fields& fields) {
    townsfolk_compose_options options = {};
    options.struct_size = sizeof options;
    options.idea = fields.given("idea");
    options.narrator_persona_id = fields.given("narrator");
    options.picture_count = static_cast<uint32_t>(fields.number("pictures"));
    options.picture_width = static_cast<uint32_t>(fields.number("width"));
    options.picture_height = static_cast<uint32_t>(fields.number("height"));
    options.has_picture_seed = fields.has("picture_seed");
    options.picture_seed = static_cast<uint64_t>(fields.number("picture_seed"));
    return townsfolk_compose(client_, &options);
  }

  townsfolk_request number_of(const std::string& label) const {
    for (const auto& entry : labels_) {
      if (entry.second == label) return entry.first;
    }
    throw std::runtime_error("no request is named " + label);
  }

  std::string label_of(const townsfolk_event& event) const {
    const auto found = labels_.find(event.request);
    if (found == labels_.end()) return "";
    return of_variant(event) ? found->second + "/" + std::to_string(event.variant) : found->second;
  }

  // Whether an event belongs to one variant of a comparison, and not to the whole.
  bool of_variant(const townsfolk_event& event) const {
    return event.last == 0 && comparisons_.count(event.request) != 0;
  }

  void tell(const townsfolk_event& event) const {
    const std::string label = label_of(event);
    const std::string text(event.text, event.text_bytes);
    if (event.story != nullptr) return tell_story(label, event, *event.story);
    tell_tokens(label, event);
    switch (event.kind) {
      case TOWNSFOLK_EVENT_CONNECTION:
        Report("connection", "").with("state", connection_name(event.connection)).with("text", text).send();
        break;
      case TOWNSFOLK_EVENT_ERROR:
        finish(Report("error", label)
                   .with("status", status_name(event.status))
                   .with("text", text)
                   .with("field", event.field),
               event);
        break;
      case TOWNSFOLK_EVENT_STARTED:
        turn(Report("started", label).with("adapter_applied", event.adapter_applied ? "1" : "0"), event);
        break;
      case TOWNSFOLK_EVENT_SPEECH_DELTA:
        turn(Report("speech_delta", label).with("text", text), event);
        break;
      case TOWNSFOLK_EVENT_EMOTION:
        turn(Report("emotion", label).with("text", text), event);
        break;
      case TOWNSFOLK_EVENT_ACTION:
        turn(Report("action", label).with("text", text).with("json", event.json), event);
        break;
      case TOWNSFOLK_EVENT_FINISHED:
        turn(Report("finished", label)
                 .with("reason", finish_name(event.finish_reason))
                 .with("text", text)
                 .with("fallback", event.fallback_reason),
             event);
        break;
      case TOWNSFOLK_EVENT_PERSONAS: {
        Report report("personas", label);
        for (size_t i = 0; i < event.persona_count; ++i) report.with("persona", event.personas[i].id);
        finish(report, event);
        break;
      }
      case TOWNSFOLK_EVENT_SESSION_OPENED:
        finish(Report("session_opened", label).with("session", event.session_id).with("text", text), event);
        break;
      case TOWNSFOLK_EVENT_SESSION_CLOSED:
        finish(Report("session_closed", label), event);
        break;
      case TOWNSFOLK_EVENT_SESSION_SAVED:
        finish(Report("session_saved", label).with("state", hex(event.bytes, event.byte_count)), event);
        break;
      case TOWNSFOLK_EVENT_HEARD:
        finish(Report("heard", label).with("text", text), event);
        break;
      case TOWNSFOLK_EVENT_CONSOLE_OUTPUT:
        finish(Report("console_output", label).with("text", text).with("style", style_name(event.console_style)),
               event);
        break;
      case TOWNSFOLK_EVENT_CONSOLE_FINISHED:
        finish(Report("console_finished", label), event);
        break;
      case TOWNSFOLK_EVENT_COMPLETIONS: {
        Report report("completions", label);
        for (size_t i = 0; i < event.completion_count; ++i) report.with("completion", event.completions[i].text);
        report.with("start", std::to_string(event.replace_start)).with("end", std::to_string(event.replace_end));
        finish(report, event);
        break;
      }
      case TOWNSFOLK_EVENT_COMPARED:
        finish(Report("compared", label), event);
        break;
      case TOWNSFOLK_EVENT_STATS:
        finish(Report("stats", label).with("json", event.json), event);
        break;
      case TOWNSFOLK_EVENT_SCENE_CLOSED:
        finish(Report("scene_closed", label), event);
        break;
      default:
        finish(Report("unknown_kind_" + std::to_string(event.kind), label), event);
    }
  }

  static void tell_story(const std::string& label, const townsfolk_event& event, const townsfolk_story& story) {
    const std::string text(event.text, event.text_bytes);
    const std::string part = label + "/" + part_name(story.part) + "/" + std::to_string(story.picture_index);
    switch (event.kind) {
      case TOWNSFOLK_EVENT_STORY_PART_STARTED:
        Report("started", part).with("persona", event.persona_id).send();
        break;
      case TOWNSFOLK_EVENT_STORY_DELTA:
        Report("speech_delta", part).with("text", text).send();
        break;
      case TOWNSFOLK_EVENT_STORY_PART_FINISHED:
        Report("finished", part)
            .with("reason", finish_name(event.finish_reason))
            .with("text", text)
            .with("title", story.story_concept.title)
            .with("last", "1")
            .send();
        break;
      case TOWNSFOLK_EVENT_STORY_PART_FAILED:
        Report("error", part).with("status", status_name(event.status)).with("text", text).with("last", "1").send();
        break;
      case TOWNSFOLK_EVENT_PICTURE:
        Report("picture", part)
            .with("media_type", story.media_type)
            .with("width", std::to_string(story.width))
            .with("height", std::to_string(story.height))
            .with("seed", std::to_string(story.seed))
            .with("begins", hex(event.bytes, 8))
            .with("ends", hex(event.bytes + event.byte_count - 8, 8))
            .send();
        break;
      case TOWNSFOLK_EVENT_STORY_FINISHED:
        Report("composed", label)
            .with("text", text)
            .with("has_picture", story.has_picture ? "1" : "0")
            .with("last", "1")
            .send();
        break;
    }
  }

  static void tell_tokens(const std::string& label, const townsfolk_event& event) {
    if (event.token_probability_count == 0) return;
    Report report("tokens", label);
    for (size_t i = 0; i < event.token_probability_count; ++i) {
      report.with("token", hex(event.tokens[i].sampled.bytes, event.tokens[i].sampled.byte_count));
    }
    report.send();
  }

  void turn(Report report, const townsfolk_event& event) const {
    report.with("turn", event.turn_id).with("session", event.session_id).with("persona", event.persona_id);
    finish(report.with("sequence", std::to_string(event.sequence)), event);
  }

  void finish(Report report, const townsfolk_event& event) const {
    const bool ended = event.kind == TOWNSFOLK_EVENT_FINISHED || event.kind == TOWNSFOLK_EVENT_ERROR;
    if (event.last != 0 || (ended && of_variant(event))) report.with("last", "1");
    report.send();
  }

  townsfolk_client* client_ = nullptr;
  bool paused_ = false;
  std::map<townsfolk_request, std::string> labels_;
  std::set<townsfolk_request> comparisons_;
};

// Lines of stdin as they come, without waiting for them.
class Commands {
 public:
  // Waits up to a frame for more; false at the end.
  bool read() {
    pollfd input = {STDIN_FILENO, POLLIN, 0};
    if (::poll(&input, 1, kFrameMs) <= 0) return true;
    char buffer[65536];
    const ssize_t size = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (size <= 0) return false;
    waiting_.append(buffer, static_cast<size_t>(size));
    return true;
  }

  bool next(std::string& line) {
    const size_t end = waiting_.find('\n');
    if (end == std::string::npos) return false;
    line = waiting_.substr(0, end);
    waiting_.erase(0, end + 1);
    return true;
  }

 private:
  std::string waiting_;
};

}  // namespace

int main() {
  if (townsfolk_abi_version() != TOWNSFOLK_ABI_VERSION) {
    std::fprintf(stderr, "the library's interface is %u, the header's %u\n", townsfolk_abi_version(),
                 TOWNSFOLK_ABI_VERSION);
    return 2;
  }
  try {
    Runner runner;
    Commands commands;
    std::string line;
    while (commands.read()) {
      while (commands.next(line)) {
        const std::vector<std::string> parts = split(line, '\t');
        Fields fields;
        for (size_t i = 1; i < parts.size(); ++i) {
          const size_t equals = parts[i].find('=');
          fields.add(parts[i].substr(0, equals), unescaped(parts[i].substr(equals + 1)));
        }
        runner.obey(parts[0], fields);
      }
      runner.frame();
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
