#include "daemon_launch.h"

#include <chrono>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

#include "child_process.h"
#include "daemon_command.h"
#include "daemon_log.h"
#include "file_lock.h"
#include "host.h"
#include "port_probe.h"
#include "private_file.h"
#include "state_folder.h"

namespace townsfolk {
namespace fs = std::filesystem;
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kTimeoutS = 320;   // a little longer than the engine's own limit for loading the model
constexpr char kIdleS[] = "60";  // without a client and without the process that has launched it
constexpr auto kStopCheck = std::chrono::milliseconds(10);
constexpr auto kLook = std::chrono::milliseconds(50);
constexpr auto kAdopt = std::chrono::seconds(60);  // for a started process to announce itself

std::chrono::seconds timeout() {
  const int chosen = std::atoi(environment_variable("TOWNSFOLK_LAUNCH_TIMEOUT_S").value_or("").c_str());
  return std::chrono::seconds(chosen > 0 ? chosen : kTimeoutS);
}

// The process that a launcher has started and that has not announced itself yet, written down for the next launcher
// in case that one dies or gives up meanwhile.
class StartedProcess {
 public:
  explicit StartedProcess(const fs::path& state_folder) : file_(state_folder / "starting.pid") {}

  void remember(int64_t pid) const { write_private_file(file_, std::to_string(pid)); }

  void forget() const {
    std::error_code ignored;
    fs::remove(file_, ignored);
  }

  // 0 if there is none, or if it has been so long that the number may be another process's.
  int64_t pid() const {
    std::error_code error;
    const auto age = fs::file_time_type::clock::now() - fs::last_write_time(file_, error);
    if (error || age > kAdopt) return 0;
    return std::atoll(read_bounded(file_, 32).c_str());
  }

 private:
  fs::path file_;
};

class Launch {
 public:
  Launch(const LaunchOptions& options, const std::atomic<bool>& stop)
      : options_(options), stop_(stop), timeout_(timeout()), give_up_(Clock::now() + timeout_) {}

  LaunchResult run() {
    if (const auto daemon = living_daemon(); daemon && daemon->phase == DaemonPhase::kServing) return found(*daemon);
    state_folder_ = make_state_folder();
    FileLock lock(state_folder_ / "starting.lock");
    while (!lock.try_lock()) {
      if (auto ended = pause()) return *ended;
      const auto daemon = living_daemon();
      if (daemon && daemon->phase == DaemonPhase::kServing) return found(*daemon);
    }
    if (auto other = wait_for_daemon(StartedProcess(state_folder_).pid())) return *other;
    return start();
  }

 private:
  static LaunchResult found(const AnnouncedDaemon& daemon) { return {daemon.announcement, "", false}; }
  static LaunchResult failed(std::string why) { return {std::nullopt, std::move(why), false}; }

  // The announced daemon, if it lives and listens.
  std::optional<AnnouncedDaemon> living_daemon() const {
    auto daemon = read_announced_daemon();
    return daemon && listens(daemon->announcement.address, stop_) ? daemon : std::nullopt;
  }

  // Waits a little. Returns how the launch ends if it must end now.
  std::optional<LaunchResult> pause() const {
    const auto until = Clock::now() + kLook;
    do {
      if (stop_) return LaunchResult{std::nullopt, "", true};
      std::this_thread::sleep_for(kStopCheck);
    } while (Clock::now() < until);
    if (Clock::now() < give_up_) return std::nullopt;
    return failed("the daemon was not ready within " + std::to_string(timeout_.count()) +
                  " s (TOWNSFOLK_LAUNCH_TIMEOUT_S allows more); its log is " +
                  (state_folder_ / "daemon.log").u8string());
  }

  // Waits while the process `pid` starts, or while some announced daemon loads or stops. Returns nothing once there is
  // neither.
  std::optional<LaunchResult> wait_for_daemon(int64_t pid) const {
    for (;;) {
      const bool starting = process_alive(pid);  // before looking: it may announce itself and end in between
      const auto daemon = living_daemon();
      if (daemon && daemon->phase == DaemonPhase::kServing) {
        StartedProcess(state_folder_).forget();
        return found(*daemon);
      }
      if (!stop_ && !daemon && !starting) return std::nullopt;
      if (auto ended = pause()) return ended;
    }
  }

  LaunchResult start() const {
    const ChildOptions child = child_options();
    std::error_code ignored;
    fs::remove(state_folder_ / "daemon.json", ignored);  // of a daemon that was killed
    const StartedProcess started(state_folder_);
    const int64_t pid = start_child(child);
    started.remember(pid);
    if (auto outcome = wait_for_daemon(pid)) {
      if (outcome->error.empty()) return *outcome;
      kill_child(pid);
      started.forget();
      return *outcome;
    }
    started.forget();
    return failed("the daemon did not start: " + last_words(child.log) + " (log: " + child.log.u8string() + ")");
  }

  ChildOptions child_options() const {
    ChildOptions child;
    child.folder = fs::u8path(options_.folder);
    std::error_code ignored;
    if (!child.folder.empty() && !fs::is_directory(child.folder, ignored)) {
      throw std::runtime_error("the daemon is to run in " + options_.folder + ", which is not a folder");
    }
    child.command = find_daemon_command(options_.command, child.folder);
    const fs::path token_file = state_folder_ / "daemon.token";
    write_private_file(token_file, random_token());
    for (const std::string& argument :
         {std::string("serve"), std::string("--address"), std::string("127.0.0.1:0"), std::string("--exit-when-idle"),
          std::string(kIdleS), std::string("--parent-holds-stdin"), std::string("--token-file"),
          token_file.u8string()}) {
      child.command.push_back(argument);
    }
    const fs::path settings = fs::absolute(child.folder / "townsfolk.toml", ignored);
    if (fs::is_regular_file(settings, ignored)) {
      child.command.push_back("--config");
      child.command.push_back(settings.u8string());
    }
    child.log = begin_daemon_log(state_folder_);
    child.environment = {{"TOWNSFOLK_STATE_DIR", state_folder_.u8string()},  // ours may be relative to our folder
                         {"PYTHONIOENCODING", "utf-8"}};
    return child;
  }

  const LaunchOptions& options_;
  const std::atomic<bool>& stop_;
  const std::chrono::seconds timeout_;
  const Clock::time_point give_up_;
  fs::path state_folder_;
};

}  // namespace

LaunchResult ensure_daemon(const LaunchOptions& options, const std::atomic<bool>& stop) {
  try {
    return Launch(options, stop).run();
  } catch (const std::exception& error) {
    return {std::nullopt, std::string("cannot launch the daemon: ") + error.what(), false};
  }
}

}  // namespace townsfolk
