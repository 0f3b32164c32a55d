// Reads what callers hand in. Everything here throws `Refused` with a sentence for `townsfolk_last_error`.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>

#include "refused.h"
#include "settings.h"
#include "townsfolk/v1/common.pb.h"
#include "townsfolk/v1/dialogue.pb.h"
#include "townsfolk/v1/preview.pb.h"
#include "townsfolk/v1/session.pb.h"
#include "townsfolk/v1/story.pb.h"
#include "townsfolk_client.h"

namespace townsfolk {

// A struct as this library knows it, whatever the size it had where the caller was compiled.
template <class Options>
Options as_known(const Options* given, const char* name) {
  if (given == nullptr) throw Refused(std::string(name) + " is NULL");
  if ((given->struct_size) < sizeof(std::size_t) || given->struct_size > (1u << 20)) {
    throw Refused(std::string(name) + "->struct_size must be sizeof(" + name + ")");
  }
  Options known{};
  std::memcpy(&known, given, std::min(given->struct_size, sizeof(Options)));
  return known;
}

// Text, "" for NULL.
std::string text_of(const char* given, const char* name);
// An id, "" for NULL.
std::string id_of(const char* given, const char* name);
// An id that must be given.
std::string needed_id(const char* given, const char* name);

Settings settings_of(const townsfolk_options* options);
v1::OpenRequest open_request(const townsfolk_session_options* options);
v1::CompareRequest compare_request(const townsfolk_compare_options* options);
v1::ComposeRequest compose_request(const townsfolk_compose_options* options);

struct SayArguments {
  v1::SayRequest request;
  bool chosen_turn_id;
  double deadline_s;  // 0: none was given
};
SayArguments say_arguments(const townsfolk_say_options* options);

}  // namespace townsfolk
