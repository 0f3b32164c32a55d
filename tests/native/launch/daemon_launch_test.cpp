#include "daemon_launch.h"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <thread>

#include "child_process.h"
#include "file_lock.h"
#include "own_folder.h"

namespace townsfolk {
namespace {

using std::chrono::steady_clock;

constexpr auto kStopLimit = std::chrono::milliseconds(100);

class EnsureDaemon : public OwnFolder {
 protected:
  ~EnsureDaemon() override {
    const std::string pid = content_of(folder / "pid");
    if (!pid.empty()) ::kill(-static_cast<pid_t>(std::stol(pid)), SIGKILL);
  }

  LaunchOptions script(const std::string& commands) {
    const fs::path file =
        write_script(folder / "der Dämon", "echo $$ >'" + (folder / "pid").string() + "'\n" + commands);
    return {"\"" + file.string() + "\"", ""};
  }

  LaunchResult launch(const LaunchOptions& options) {
    const std::atomic<bool> stop{false};
    return ensure_daemon(options, stop);
  }

  // How long a launch takes to end once it is stopped in the middle.
  steady_clock::duration stopped_after(const LaunchOptions& options, const std::function<bool()>& in_the_middle) {
    std::atomic<bool> stop{false};
    LaunchResult result;
    std::thread launching([&] { result = ensure_daemon(options, stop); });
    while (!in_the_middle()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    const auto asked = steady_clock::now();
    stop = true;
    launching.join();
    const auto took = steady_clock::now() - asked;
    EXPECT_TRUE(result.cancelled);
    EXPECT_EQ(result.error, "");
    EXPECT_FALSE(result.daemon);
    return took;
  }
};

TEST_F(EnsureDaemon, SaysWhyAWrongCommandCannotBeRun) {
  const LaunchResult result = launch({"/no/such/townsfolk", ""});
  EXPECT_EQ(result.error,
            "cannot launch the daemon: there is no program /no/such/townsfolk, which the launch command names");
  EXPECT_FALSE(result.daemon);
  EXPECT_FALSE(result.cancelled);
}

TEST_F(EnsureDaemon, SaysWhyAFileThatIsNoProgramCannotBeRun) {
  const fs::path file = folder / "no program";
  write(file, "\x01\x02");
  ::chmod(file.c_str(), 0755);
  const std::string error = launch({"\"" + file.string() + "\"", ""}).error;
  EXPECT_EQ(error.rfind("cannot launch the daemon: cannot run " + file.string(), 0), 0u) << error;
}

TEST_F(EnsureDaemon, SaysThatItsFolderIsMissing) {
  EXPECT_EQ(launch({"/bin/sh", "/no/folder"}).error,
            "cannot launch the daemon: the daemon is to run in /no/folder, which is not a folder");
}

TEST_F(EnsureDaemon, SaysThatTheStateFolderCannotBeMade) {
  write(state, "a file in its place");
  const std::string error = launch({"/bin/sh", ""}).error;
  EXPECT_NE(error.find(state.string()), std::string::npos) << error;
  EXPECT_NE(error.find("TOWNSFOLK_STATE_DIR"), std::string::npos) << error;
}

TEST_F(EnsureDaemon, QuotesADaemonThatDiesAtOnce) {
  const std::string log = (state / "daemon.log").string();
  EXPECT_EQ(launch(script("echo 'error: the model is missing' >&2; exit 1")).error,
            "the daemon did not start: the model is missing (log: " + log + ")");
  EXPECT_EQ(launch(script("echo Traceback; echo MemoryError >&2; exit 1")).error,
            "the daemon did not start: Traceback | MemoryError (log: " + log + ")");
  EXPECT_EQ(launch(script("exit 1")).error, "the daemon did not start: it left no word (log: " + log + ")");
  EXPECT_EQ(launch(script("kill -9 $$")).error, "the daemon did not start: it left no word (log: " + log + ")");
}

TEST_F(EnsureDaemon, IsAskedToListenOnTheLoopbackWithATokenAndToLeaveByItself) {
  launch(script("printf '%s\\n' \"$@\"; exit 1"));
  EXPECT_EQ(content_of(state / "daemon.log"),
            "serve\n--address\n127.0.0.1:0\n--exit-when-idle\n60\n--parent-holds-stdin\n--token-file\n" +
                (state / "daemon.token").string() + "\n");
  EXPECT_EQ(content_of(state / "daemon.token").size(), 64u);
  EXPECT_EQ(fs::status(state / "daemon.token").permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(fs::status(state).permissions(), fs::perms::owner_all);
}

TEST_F(EnsureDaemon, GivesTheDaemonTheSettingsInItsFolder) {
  LaunchOptions options = script("printf '%s\\n' \"$@\" | tail -n 2; exit 1");
  options.folder = (folder / "Spiel ü").string();
  write(folder / "Spiel ü" / "townsfolk.toml", "");
  launch(options);
  EXPECT_EQ(content_of(state / "daemon.log"), "--config\n" + options.folder + "/townsfolk.toml\n");
}

TEST_F(EnsureDaemon, RunsInItsFolderAndKeepsARelativeStateFolder) {
  const Variable relative("TOWNSFOLK_STATE_DIR", "build für alle");
  const fs::path here = fs::current_path();
  fs::current_path(folder);
  LaunchOptions options = script("echo \"$PWD|$TOWNSFOLK_STATE_DIR\"; exit 1");
  options.folder = "Projekt ö";
  fs::create_directories(folder / options.folder);
  launch(options);
  fs::current_path(here);
  EXPECT_EQ(content_of(folder / "build für alle" / "daemon.log"),
            (folder / options.folder).string() + "|" + (folder / "build für alle").string() + "\n");
}

TEST_F(EnsureDaemon, GivesADaemonUpThatDoesNotComeAndKillsIt) {
  const Variable patience("TOWNSFOLK_LAUNCH_TIMEOUT_S", "1");
  const LaunchResult result = launch(script("sleep 1000"));
  EXPECT_EQ(result.error, "the daemon was not ready within 1 s (TOWNSFOLK_LAUNCH_TIMEOUT_S allows more); its log is " +
                              (state / "daemon.log").string());
  const int64_t pid = std::stoll(content_of(folder / "pid"));
  const auto give_up = steady_clock::now() + std::chrono::seconds(20);
  while (process_alive(pid) && steady_clock::now() < give_up) std::this_thread::yield();
  EXPECT_FALSE(process_alive(pid));
}

TEST_F(EnsureDaemon, StopsWithin100MillisecondsWhileADaemonLoads) {
  const auto took = stopped_after(script("sleep 1000"), [&] { return !content_of(folder / "pid").empty(); });
  EXPECT_LT(took, kStopLimit);
}

TEST_F(EnsureDaemon, StopsWithin100MillisecondsWhileAnotherProcessLaunches) {
  fs::create_directories(state);
  FileLock lock(state / "starting.lock");
  ASSERT_TRUE(lock.try_lock());
  const auto began = steady_clock::now();
  const auto took = stopped_after({"/bin/sh", ""}, [&] { return steady_clock::now() - began > kStopLimit; });
  EXPECT_LT(took, kStopLimit);
}

TEST_F(EnsureDaemon, FindsTheProcessAgainThatItWasStoppedWaitingFor) {
  const LaunchOptions options = script("echo started >>'" + (folder / "starts").string() + "'; sleep 1000");
  for (int i = 0; i < 3; ++i) {
    const auto began = steady_clock::now();
    stopped_after(options,
                  [&] { return !content_of(folder / "starts").empty() && steady_clock::now() - began > kStopLimit; });
  }
  EXPECT_EQ(content_of(folder / "starts"), "started\n");
}

TEST_F(EnsureDaemon, StartsNothingWhenItIsStoppedBefore) {
  const std::atomic<bool> stop{true};
  EXPECT_TRUE(ensure_daemon(script("echo started >'" + (folder / "starts").string() + "'"), stop).cancelled);
  EXPECT_FALSE(fs::exists(folder / "pid"));
}

}  // namespace
}  // namespace townsfolk
