#include "announcement.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include "child_process.h"
#include "state_folder.h"

namespace townsfolk {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

constexpr size_t kMaxFileBytes = 64 * 1024;
constexpr double kMaxPid = 4294967295.0;

std::string text_field(const Struct& object, const char* name) {
  const auto found = object.fields().find(name);
  return found == object.fields().end() ? "" : found->second.string_value();
}

int64_t pid_field(const Struct& object) {
  const auto found = object.fields().find("pid");
  if (found == object.fields().end()) return 0;
  const double pid = found->second.number_value();
  return pid >= 1 && pid <= kMaxPid ? static_cast<int64_t>(pid) : 0;
}

DaemonPhase phase_field(const Struct& object) {
  const std::string phase = text_field(object, "phase");
  if (phase == "loading") return DaemonPhase::kLoading;
  return phase == "stopping" ? DaemonPhase::kStopping : DaemonPhase::kServing;
}

// A daemon that listens everywhere is reached on the loopback.
std::string reachable(const std::string& address) {
  const size_t colon = address.rfind(':');
  const std::string host = address.substr(0, colon);
  if (host == "0.0.0.0" || host == "*") return "127.0.0.1" + address.substr(colon);
  return host == "[::]" ? "[::1]" + address.substr(colon) : address;
}

}  // namespace

std::optional<AnnouncedDaemon> read_announced_daemon() {
  const std::string json = read_bounded(state_folder() / "daemon.json", kMaxFileBytes);
  Struct object;
  if (!google::protobuf::util::JsonStringToMessage(json, &object).ok()) return std::nullopt;
  AnnouncedDaemon daemon;
  daemon.announcement.address = reachable(text_field(object, "address"));
  daemon.announcement.token = text_field(object, "token");
  daemon.announcement.tls_certificate = text_field(object, "tls_certificate");
  daemon.announcement.pid = pid_field(object);
  daemon.phase = phase_field(object);
  if (daemon.announcement.address.find(':') == std::string::npos) return std::nullopt;
  if (!process_alive(daemon.announcement.pid)) return std::nullopt;
  return daemon;
}

std::optional<Announcement> read_announcement() {
  const auto daemon = read_announced_daemon();
  if (!daemon || daemon->phase == DaemonPhase::kStopping) return std::nullopt;
  return daemon->announcement;
}

}  // namespace townsfolk
