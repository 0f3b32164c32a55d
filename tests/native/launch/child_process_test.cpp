#include "child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <system_error>
#include <thread>

#include "own_folder.h"

namespace townsfolk {
namespace {

constexpr auto kPatience = std::chrono::seconds(20);

template <typename Condition>
bool soon(Condition condition) {
  const auto give_up = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

class ChildProcess : public OwnFolder {
 protected:
  int64_t start(const std::string& commands, std::vector<std::string> arguments = {}) {
    ChildOptions options;
    options.command = {write_script(folder / "kind ü", commands).string()};
    options.command.insert(options.command.end(), arguments.begin(), arguments.end());
    options.folder = folder;
    options.log = folder / "log ü";
    options.environment = {{"TOWNSFOLK_STATE_DIR", "/zustand ü"}, {"HOME", "replaced"}};
    return start_child(options);
  }

  std::string output_of(const std::string& commands, std::vector<std::string> arguments = {}) {
    const int64_t child = start(commands, std::move(arguments));
    EXPECT_TRUE(soon([&] { return !process_alive(child); }));
    return content_of(folder / "log ü");
  }
};

TEST_F(ChildProcess, GetsItsArgumentsFolderAndEnvironment) {
  EXPECT_EQ(output_of(R"(printf '%s\n' "$@" "$PWD" "$TOWNSFOLK_STATE_DIR" "$HOME" >&2)", {"a b", "", "\"ü\\"}),
            "a b\n\n\"ü\\\n" + folder.string() + "\n/zustand ü\nreplaced\n");
}

TEST_F(ChildProcess, InheritsNoOtherFile) {
  write(folder / "secret", "");
  const int secret = ::open((folder / "secret").c_str(), O_RDONLY);  // without O_CLOEXEC
  const std::string files = output_of("readlink /proc/$$/fd/*");
  ::close(secret);
  EXPECT_NE(files.find("log ü"), std::string::npos) << files;
  EXPECT_EQ(files.find("secret"), std::string::npos) << files;
}

TEST_F(ChildProcess, HasASessionOfItsOwn) {
  const std::string numbers = output_of("echo $$; sed 's/.*) //' /proc/$$/stat | cut -d' ' -f4");
  const std::string pid = numbers.substr(0, numbers.find('\n'));
  EXPECT_EQ(numbers, pid + "\n" + pid + "\n");
}

TEST_F(ChildProcess, DoesNotIgnoreTheSignalsThatAGameIgnores) {
  ::signal(SIGPIPE, SIG_IGN);
  const std::string output = output_of("kill -PIPE $$; echo survived");
  ::signal(SIGPIPE, SIG_DFL);
  EXPECT_EQ(output, "");
}

TEST_F(ChildProcess, IsAliveUntilItEndsAndLeavesNoZombie) {
  const int64_t child = start("read -r line");
  EXPECT_TRUE(process_alive(child));
  ::kill(static_cast<pid_t>(child), SIGKILL);
  EXPECT_TRUE(soon([&] { return !process_alive(child); }));
  EXPECT_EQ(::kill(static_cast<pid_t>(child), 0), -1);
}

TEST_F(ChildProcess, SeesTheEndOfItsInputWhenItsParentIsKilled) {
  const pid_t parent = ::fork();
  if (parent == 0) {
    start("echo started; cat; echo alone");
    for (;;) ::pause();
  }
  const fs::path log = folder / "log ü";
  EXPECT_TRUE(soon([&] { return content_of(log) == "started\n"; }));
  ::kill(parent, SIGKILL);
  EXPECT_TRUE(soon([&] { return content_of(log) == "started\nalone\n"; }));
  EXPECT_TRUE(soon([&] { return !process_alive(parent); }));  // a zombie, and none that we count as a child
  EXPECT_EQ(::waitpid(parent, nullptr, 0), parent);
}

TEST_F(ChildProcess, IsKilledWithWhatItHasStarted) {
  const int64_t child = start("sleep 1000 & echo $!; wait");
  const fs::path log = folder / "log ü";
  EXPECT_TRUE(soon([&] { return !content_of(log).empty(); }));
  const int64_t grandchild = std::stoll(content_of(log));
  EXPECT_TRUE(process_alive(grandchild));
  kill_child(child);
  EXPECT_TRUE(soon([&] { return !process_alive(child); }));
  EXPECT_TRUE(soon([&] { return !process_alive(grandchild); }));
}

TEST_F(ChildProcess, ThatCannotBeRunIsAnError) {
  ChildOptions options;
  options.command = {(folder / "missing").string()};
  options.log = folder / "log";
  EXPECT_THROW(start_child(options), std::system_error);
  options.command = {"/bin/sh"};
  options.log = folder / "missing" / "log";
  EXPECT_THROW(start_child(options), std::system_error);
}

TEST_F(ChildProcess, OtherThanOursAreKnownByTheirNumber) {
  EXPECT_TRUE(process_alive(::getpid()));
  EXPECT_TRUE(process_alive(1));
  EXPECT_FALSE(process_alive(0));
  EXPECT_FALSE(process_alive(-1));
  EXPECT_FALSE(process_alive(4194305));
  EXPECT_FALSE(process_alive(1LL << 40));
}

}  // namespace
}  // namespace townsfolk
