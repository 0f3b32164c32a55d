// The functions of townsfolk_client.h: no exception leaves them, and every refusal leaves a sentence behind.

#include <exception>
#include <memory>
#include <string>

#include "arguments.h"
#include "client.h"
#include "compare.h"
#include "compose.h"
#include "console.h"
#include "ids.h"
#include "persona_requests.h"
#include "scene.h"
#include "session_requests.h"
#include "townsfolk_client.h"
#include "turn.h"

using namespace townsfolk;

struct townsfolk_client {
  explicit townsfolk_client(Settings settings) : client(std::move(settings)) {}
  Client client;
};

namespace {

std::string& last_error() {
  static thread_local std::string text;
  return text;
}

// Runs `call`; where it throws, returns `refused` of the status and keeps the sentence.
template <class Call, class OnRefused>
auto guarded(Call call, OnRefused refused) noexcept -> decltype(call()) {
  try {
    last_error().clear();
    return call();
  } catch (const Refused& error) {
    last_error() = error.what();
    return refused(error.status);
  } catch (const std::exception& error) {
    last_error() = std::string("the client met a limit of this machine: ") + error.what();
    return refused(TOWNSFOLK_RESOURCE_EXHAUSTED);
  }
}

Client& needed(townsfolk_client* client) {
  if (client == nullptr) throw Refused("client is NULL");
  return client->client;
}

// `make(client, number, deadline_s)` gives the request.
template <class Make>
townsfolk_request ask(townsfolk_client* given, Make make) noexcept {
  return guarded(
      [&] {
        Client& client = needed(given);
        return client.add(make(client, client.next_number(), client.settings().call_deadline_s));
      },
      [](townsfolk_status) { return townsfolk_request{0}; });
}

std::unique_ptr<Request> turn(Client& client, townsfolk_request number, const townsfolk_say_options* options,
                              townsfolk_request scene) {
  SayArguments arguments = say_arguments(options);
  const double limit_s = arguments.deadline_s > 0 ? arguments.deadline_s : client.settings().turn_deadline_s;
  return std::make_unique<Turn>(number, limit_s, std::move(arguments.request), arguments.chosen_turn_id, scene);
}

}  // namespace

extern "C" {

uint32_t townsfolk_abi_version(void) { return TOWNSFOLK_ABI_VERSION; }

const char* townsfolk_version(void) { return TOWNSFOLK_VERSION; }

const char* townsfolk_last_error(void) { return last_error().c_str(); }

int32_t townsfolk_connect(const townsfolk_options* options, townsfolk_client** client) {
  return guarded(
      [&]() -> int32_t {
        if (client == nullptr) throw Refused("client is NULL");
        *client = nullptr;
        *client = new townsfolk_client(settings_of(options));
        return TOWNSFOLK_OK;
      },
      [](townsfolk_status status) -> int32_t { return status; });
}

void townsfolk_close(townsfolk_client* client) { delete client; }

const townsfolk_event* townsfolk_poll(townsfolk_client* client) {
  return client == nullptr ? nullptr : client->client.poll();
}

townsfolk_request townsfolk_list_personas(townsfolk_client* client) {
  return ask(client, [](Client&, townsfolk_request number, double deadline_s) {
    return std::make_unique<ListPersonas>(number, deadline_s);
  });
}

townsfolk_request townsfolk_open_session(townsfolk_client* client, const townsfolk_session_options* options) {
  return ask(client, [&](Client&, townsfolk_request number, double deadline_s) {
    return std::make_unique<OpenSession>(number, deadline_s, open_request(options));
  });
}

townsfolk_request townsfolk_close_session(townsfolk_client* client, const char* session_id) {
  return ask(client, [&](Client&, townsfolk_request number, double deadline_s) {
    v1::CloseRequest request;
    request.set_session_id(needed_id(session_id, "session_id"));
    return std::make_unique<CloseSession>(number, deadline_s, std::move(request));
  });
}

townsfolk_request townsfolk_save_session(townsfolk_client* client, const char* session_id) {
  return ask(client, [&](Client&, townsfolk_request number, double deadline_s) {
    v1::SaveRequest request;
    request.set_session_id(needed_id(session_id, "session_id"));
    return std::make_unique<SaveSession>(number, deadline_s, std::move(request));
  });
}

townsfolk_request townsfolk_restore_session(townsfolk_client* client, const uint8_t* bytes, size_t byte_count,
                                            const char* session_id) {
  return ask(client, [&](Client&, townsfolk_request number, double deadline_s) {
    if (bytes == nullptr || byte_count == 0) throw Refused("bytes are missing");
    if (byte_count > 1u << 20) throw Refused("a saved session has at most 1 MiB");
    v1::RestoreRequest request;
    request.set_state(bytes, byte_count);
    request.set_session_id(id_of(session_id, "session_id"));
    return std::make_unique<RestoreSession>(number, deadline_s, std::move(request));
  });
}

townsfolk_request townsfolk_fork_session(townsfolk_client* client, const char* session_id, const char* new_session_id) {
  return ask(client, [&](Client&, townsfolk_request number, double deadline_s) {
    v1::ForkRequest request;
    request.set_session_id(needed_id(session_id, "session_id"));
    request.set_new_session_id(id_of(new_session_id, "new_session_id"));
    if (request.new_session_id().empty()) request.set_new_session_id(fresh_id());
    return std::make_unique<ForkSession>(number, deadline_s, std::move(request));
  });
}

townsfolk_request townsfolk_say(townsfolk_client* client, const townsfolk_say_options* options) {
  return ask(client, [&](Client& asked, townsfolk_request number, double) { return turn(asked, number, options, 0); });
}

townsfolk_request townsfolk_scene_open(townsfolk_client* client) {
  return guarded([&] { return needed(client).add_scene(); }, [](townsfolk_status) { return townsfolk_request{0}; });
}

townsfolk_request townsfolk_scene_say(townsfolk_client* client, townsfolk_request scene,
                                      const townsfolk_say_options* options) {
  return ask(client, [&](Client& asked, townsfolk_request number, double) {
    if (!asked.is_open_scene(scene)) throw Refused("scene " + std::to_string(scene) + " is not open");
    return turn(asked, number, options, scene);
  });
}

int32_t townsfolk_scene_close(townsfolk_client* client, townsfolk_request scene) {
  return guarded(
      [&]() -> int32_t {
        if (needed(client).close_scene(scene)) return 1;
        throw Refused("scene " + std::to_string(scene) + " is not open");
      },
      [](townsfolk_status) -> int32_t { return 0; });
}

int32_t townsfolk_cancel(townsfolk_client* client, townsfolk_request request) {
  return guarded(
      [&]() -> int32_t {
        if (needed(client).cancel(request)) return 1;
        throw Refused("request " + std::to_string(request) + " has ended or was never made");
      },
      [](townsfolk_status) -> int32_t { return 0; });
}

townsfolk_request townsfolk_heard(townsfolk_client* client, const char* turn_id, uint32_t characters) {
  return ask(client, [&](Client&, townsfolk_request number, double deadline_s) {
    v1::ReportHeardRequest request;
    request.set_turn_id(needed_id(turn_id, "turn_id"));
    request.set_heard_characters(characters);
    return std::make_unique<ReportHeard>(number, deadline_s, std::move(request));
  });
}

townsfolk_request townsfolk_compare(townsfolk_client* client, const townsfolk_compare_options* options) {
  return ask(client, [&](Client& asked, townsfolk_request number, double) {
    return std::make_unique<Compare>(number, asked.settings().turn_deadline_s, compare_request(options));
  });
}

townsfolk_request townsfolk_console_execute(townsfolk_client* client, const char* line, const char* session_id,
                                            uint32_t columns) {
  return ask(client, [&](Client& asked, townsfolk_request number, double) {
    v1::ExecuteRequest request;
    request.set_line(text_of(line, "line"));
    request.set_session_id(id_of(session_id, "session_id"));
    request.set_columns(columns);
    return std::make_unique<ExecuteCommand>(number, asked.settings().turn_deadline_s, std::move(request));
  });
}

townsfolk_request townsfolk_console_complete(townsfolk_client* client, const char* line, int32_t cursor,
                                             const char* session_id) {
  return ask(client, [&](Client&, townsfolk_request number, double deadline_s) {
    v1::CompleteRequest request;
    request.set_line(text_of(line, "line"));
    if (cursor >= 0) request.set_cursor(static_cast<uint32_t>(cursor));
    request.set_session_id(id_of(session_id, "session_id"));
    return std::make_unique<CompleteCommand>(number, deadline_s, std::move(request));
  });
}

townsfolk_request townsfolk_compose(townsfolk_client* client, const townsfolk_compose_options* options) {
  return ask(client, [&](Client&, townsfolk_request number, double) {
    return std::make_unique<Compose>(number, compose_request(options));
  });
}

townsfolk_request townsfolk_get_stats(townsfolk_client* client) {
  return ask(client, [](Client&, townsfolk_request number, double deadline_s) {
    return std::make_unique<GetStats>(number, deadline_s);
  });
}

}  // extern "C"
