#ifndef _WIN32
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <limits>
#include <mutex>
#include <system_error>
#include <utility>

#include "child_process.h"

#ifdef __APPLE__
#include <crt_externs.h>
#define environ (*_NSGetEnviron())
#else
extern char** environ;
#endif

namespace townsfolk {
namespace {

constexpr int kInheritedFiles = 3;  // stdin, stdout and stderr

// Children that have not been seen to end, with our end of the pipe to each. Never destroyed: the pipes are to end
// with the process, not when the library is unloaded.
struct Children {
  std::mutex mutex;
  std::map<pid_t, int> pipes;
};

Children& children() {
  static auto* all = new Children;
  return *all;
}

void check(int error, const std::string& what) {
  if (error != 0) throw std::system_error(error, std::generic_category(), what);
}

class File {
 public:
  // Takes a descriptor, or throws if opening it has failed. It is not one of the three that the child gets, even where
  // this process has closed its own.
  File(int descriptor, const std::string& what) : descriptor_(descriptor) {
    check(descriptor < 0 ? errno : 0, what);
    if (descriptor >= kInheritedFiles) return;
    descriptor_ = ::fcntl(descriptor, F_DUPFD_CLOEXEC, kInheritedFiles);
    ::close(descriptor);
    check(descriptor_ < 0 ? errno : 0, what);
  }
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const { return descriptor_; }
  int release() { return std::exchange(descriptor_, -1); }

 private:
  int descriptor_;
};

// What `posix_spawn` is to do in the child.
class SpawnPlan {
 public:
  SpawnPlan() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  ~SpawnPlan() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

void run_in(SpawnPlan& plan, const std::filesystem::path& folder) {
  if (!folder.empty()) check(posix_spawn_file_actions_addchdir_np(&plan.actions, folder.c_str()), "chdir");
}

// A game has files and sockets that must not stay open in a process that outlives it.
void inherit_nothing_else(SpawnPlan& plan, short& flags) {
#ifdef __APPLE__
  flags |= POSIX_SPAWN_CLOEXEC_DEFAULT;
#elif defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 34)
  check(posix_spawn_file_actions_addclosefrom_np(&plan.actions, kInheritedFiles), "closefrom");
#endif
  static_cast<void>(plan);
  static_cast<void>(flags);
}

// Its own session, so that Ctrl-C and a closing terminal are not for it, and signals as a new program expects them.
void detach(SpawnPlan& plan, short flags) {
  sigset_t none, ordinary;
  sigemptyset(&none);
  sigemptyset(&ordinary);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD}) sigaddset(&ordinary, signal);
  posix_spawnattr_setsigmask(&plan.attributes, &none);
  posix_spawnattr_setsigdefault(&plan.attributes, &ordinary);
  flags |= POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
  check(posix_spawnattr_setflags(&plan.attributes, flags), "posix_spawn");
}

std::vector<std::string> environment_with(const std::map<std::string, std::string>& added) {
  std::vector<std::string> all;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (added.count(text.substr(0, text.find('='))) == 0) all.push_back(text);
  }
  for (const auto& [name, value] : added) all.push_back(name + "=" + value);
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (std::string& text : texts) all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

std::pair<int, int> make_pipe() {
  int ends[2];
#ifdef __linux__
  check(::pipe2(ends, O_CLOEXEC) != 0 ? errno : 0, "cannot make a pipe");
#else
  check(::pipe(ends) != 0 ? errno : 0, "cannot make a pipe");
  for (const int end : ends) ::fcntl(end, F_SETFD, FD_CLOEXEC);
#endif
  return {ends[0], ends[1]};
}

// Whether a process has ended without its parent having noticed.
bool is_zombie(pid_t pid) {
#ifdef __linux__
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string status;
  std::getline(file, status);
  return status.find(") Z ") != std::string::npos;
#else
  static_cast<void>(pid);
  return false;
#endif
}

}  // namespace

int64_t start_child(const ChildOptions& options) {
  const auto [read_end, write_end] = make_pipe();
  File standard_input(read_end, "pipe"), held(write_end, "pipe");
  File log(::open(options.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600),
           "cannot write " + options.log.string());

  SpawnPlan plan;
  short flags = 0;
  posix_spawn_file_actions_adddup2(&plan.actions, standard_input.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&plan.actions, log.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&plan.actions, log.get(), STDERR_FILENO);
  run_in(plan, options.folder);
  inherit_nothing_else(plan, flags);
  detach(plan, flags);

  std::vector<std::string> command = options.command, environment = environment_with(options.environment);
  Children& all = children();
  const std::lock_guard lock(all.mutex);
  pid_t pid = 0;
  check(posix_spawn(&pid, command[0].c_str(), &plan.actions, &plan.attributes, pointers(command).data(),
                    pointers(environment).data()),
        "cannot run " + command[0]);
  all.pipes[pid] = held.release();
  return pid;
}

void kill_child(int64_t pid) {
  Children& all = children();
  const std::lock_guard lock(all.mutex);
  if (all.pipes.count(static_cast<pid_t>(pid)) != 0) ::kill(-static_cast<pid_t>(pid), SIGKILL);
}

bool process_alive(int64_t pid) {
  if (pid <= 0 || pid > std::numeric_limits<pid_t>::max()) return false;
  const auto id = static_cast<pid_t>(pid);
  Children& all = children();
  const std::lock_guard lock(all.mutex);
  const auto child = all.pipes.find(id);
  if (child != all.pipes.end() && ::waitpid(id, nullptr, WNOHANG) != 0) {
    ::close(child->second);
    all.pipes.erase(child);
    return false;
  }
  return (::kill(id, 0) == 0 || errno == EPERM) && !is_zombie(id);
}

}  // namespace townsfolk

#endif
