// A game that wants a daemon: prints what came of it as one line of JSON, and stays until its standard input ends.
//
//   small_game [--command COMMAND] [--folder FOLDER] [--stop-after SECONDS]

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>

#include "daemon_launch.h"

int main(int count, char** arguments) {
  townsfolk::LaunchOptions options;
  std::atomic<bool> stop{false};
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string name = arguments[i], value = arguments[i + 1];
    if (name == "--command") options.command = value;
    if (name == "--folder") options.folder = value;
    if (name == "--stop-after") {
      std::thread([&stop, seconds = std::atof(value.c_str())] {
        std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
        stop = true;
      }).detach();
    }
  }
  const townsfolk::LaunchResult result = townsfolk::ensure_daemon(options, stop);

  google::protobuf::Struct outcome;
  auto& fields = *outcome.mutable_fields();
  fields["error"].set_string_value(result.error);
  fields["cancelled"].set_bool_value(result.cancelled);
  if (result.daemon) {
    fields["address"].set_string_value(result.daemon->address);
    fields["token"].set_string_value(result.daemon->token);
    fields["pid"].set_number_value(static_cast<double>(result.daemon->pid));
  }
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(outcome, &json).ok()) return 1;
  std::cout << json << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
  }
}
