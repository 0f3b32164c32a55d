#ifdef _WIN32
#include <windows.h>

#include <memory>
#include <mutex>
#include <system_error>

#include "child_process.h"
#include "utf16.h"

namespace townsfolk {
namespace {

struct Child {
  HANDLE process = nullptr;
  HANDLE pipe = nullptr;
};

// Children that have not been seen to end, with our end of the pipe to each. Never destroyed: the pipes are to end
// with the process, not when the library is unloaded.
struct Children {
  std::mutex mutex;
  std::map<DWORD, Child> by_pid;
};

Children& children() {
  static auto* all = new Children;
  return *all;
}

[[noreturn]] void fail(const std::string& what, DWORD reason = GetLastError()) {
  throw std::system_error(static_cast<int>(reason), std::system_category(), what);
}

struct CloseHandleOf {
  using pointer = HANDLE;
  void operator()(HANDLE handle) const { CloseHandle(handle); }
};
using Handle = std::unique_ptr<HANDLE, CloseHandleOf>;

// The list of handles that a child inherits, whatever else this process has made inheritable.
class InheritedHandles {
 public:
  explicit InheritedHandles(std::vector<HANDLE> handles) : handles_(std::move(handles)) {
    SIZE_T size = 0;
    InitializeProcThreadAttributeList(nullptr, 1, 0, &size);
    memory_.resize(size);
    if (!InitializeProcThreadAttributeList(get(), 1, 0, &size)) fail("cannot prepare a process");
    if (!UpdateProcThreadAttribute(get(), 0, PROC_THREAD_ATTRIBUTE_HANDLE_LIST, handles_.data(),
                                   handles_.size() * sizeof(HANDLE), nullptr, nullptr)) {
      fail("cannot prepare a process");
    }
  }
  ~InheritedHandles() { DeleteProcThreadAttributeList(get()); }
  InheritedHandles(const InheritedHandles&) = delete;
  InheritedHandles& operator=(const InheritedHandles&) = delete;

  LPPROC_THREAD_ATTRIBUTE_LIST get() { return reinterpret_cast<LPPROC_THREAD_ATTRIBUTE_LIST>(memory_.data()); }

 private:
  std::vector<HANDLE> handles_;
  std::vector<char> memory_;
};

// An argument as CommandLineToArgvW reads it:
// https://learn.microsoft.com/cpp/c-language/parsing-c-command-line-arguments
std::wstring quoted(const std::wstring& argument) {
  if (!argument.empty() && argument.find_first_of(L" \t\"") == std::wstring::npos) return argument;
  std::wstring text = L"\"";
  size_t backslashes = 0;
  for (const wchar_t character : argument) {
    if (character == L'"') text.append(backslashes + 1, L'\\');  // those before a quote count double
    backslashes = character == L'\\' ? backslashes + 1 : 0;
    text += character;
  }
  text.append(backslashes, L'\\');
  return text + L"\"";
}

std::wstring command_line(const std::vector<std::string>& command) {
  std::wstring line;
  for (const std::string& argument : command) line += (line.empty() ? L"" : L" ") + quoted(to_utf16(argument));
  return line;
}

std::wstring name_in_capitals(const std::wstring& entry) {
  std::wstring name = entry.substr(0, entry.find(L'=', 1));  // "=C:=C:\folder" is an entry too
  CharUpperBuffW(name.data(), static_cast<DWORD>(name.size()));
  return name;
}

// The environment block of this process with more in it.
std::wstring environment_with(const std::map<std::string, std::string>& added) {
  std::map<std::wstring, std::wstring> entries;
  wchar_t* block = GetEnvironmentStringsW();
  for (const wchar_t* entry = block; *entry != L'\0'; entry += std::wstring_view(entry).size() + 1) {
    entries[name_in_capitals(entry)] = entry;
  }
  FreeEnvironmentStringsW(block);
  for (const auto& [name, value] : added) {
    const std::wstring entry = to_utf16(name + "=" + value);
    entries[name_in_capitals(entry)] = entry;
  }
  std::wstring all;
  for (const auto& [name, entry] : entries) all += entry + L'\0';
  return all + L'\0';
}

Handle open_log(const std::filesystem::path& file) {
  SECURITY_ATTRIBUTES inheritable{sizeof inheritable, nullptr, TRUE};
  const HANDLE log =
      CreateFileW(file.c_str(), FILE_APPEND_DATA | SYNCHRONIZE, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                  &inheritable, OPEN_ALWAYS, FILE_ATTRIBUTE_NORMAL, nullptr);
  if (log == INVALID_HANDLE_VALUE) fail("cannot write " + file.u8string());
  return Handle(log);
}

}  // namespace

int64_t start_child(const ChildOptions& options) {
  SECURITY_ATTRIBUTES inheritable{sizeof inheritable, nullptr, TRUE};
  HANDLE read_end = nullptr, write_end = nullptr;
  if (!CreatePipe(&read_end, &write_end, &inheritable, 0)) fail("cannot make a pipe");
  Handle standard_input(read_end), held(write_end);
  SetHandleInformation(held.get(), HANDLE_FLAG_INHERIT, 0);
  const Handle log = open_log(options.log);

  InheritedHandles inherited({standard_input.get(), log.get()});
  STARTUPINFOEXW startup{};
  startup.StartupInfo.cb = sizeof startup;
  startup.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
  startup.StartupInfo.hStdInput = standard_input.get();
  startup.StartupInfo.hStdOutput = startup.StartupInfo.hStdError = log.get();
  startup.lpAttributeList = inherited.get();

  const std::wstring program = to_utf16(options.command[0]);
  std::wstring line = command_line(options.command), environment = environment_with(options.environment);
  const wchar_t* folder = options.folder.empty() ? nullptr : options.folder.c_str();
  constexpr DWORD kFlags =
      CREATE_NO_WINDOW | CREATE_NEW_PROCESS_GROUP | CREATE_UNICODE_ENVIRONMENT | EXTENDED_STARTUPINFO_PRESENT;
  PROCESS_INFORMATION started{};
  const auto create = [&](DWORD more_flags) {
    return CreateProcessW(program.c_str(), line.data(), nullptr, nullptr, TRUE, kFlags | more_flags, environment.data(),
                          folder, &startup.StartupInfo, &started) != 0;
  };
  // Debuggers and game launchers put a game into a job that ends with it; the daemon may be shared and stays, where the
  // job lets it go.
  if (!create(CREATE_BREAKAWAY_FROM_JOB) && !(GetLastError() == ERROR_ACCESS_DENIED && create(0))) {
    fail("cannot run " + options.command[0]);
  }
  CloseHandle(started.hThread);
  Children& all = children();
  const std::lock_guard lock(all.mutex);
  all.by_pid[started.dwProcessId] = {started.hProcess, held.release()};
  return started.dwProcessId;
}

// The commands of a virtual environment are small programs that start Python in a job of their own, which ends with
// them; so this reaches Python too.
void kill_child(int64_t pid) {
  Children& all = children();
  const std::lock_guard lock(all.mutex);
  const auto child = all.by_pid.find(static_cast<DWORD>(pid));
  if (child != all.by_pid.end()) TerminateProcess(child->second.process, 1);
}

bool process_alive(int64_t pid) {
  if (pid <= 0) return false;
  Children& all = children();
  const std::lock_guard lock(all.mutex);
  const auto child = all.by_pid.find(static_cast<DWORD>(pid));
  if (child != all.by_pid.end()) {
    if (WaitForSingleObject(child->second.process, 0) == WAIT_TIMEOUT) return true;
    CloseHandle(child->second.process);
    CloseHandle(child->second.pipe);
    all.by_pid.erase(child);
    return false;
  }
  const Handle process(OpenProcess(SYNCHRONIZE, FALSE, static_cast<DWORD>(pid)));
  if (!process) return GetLastError() == ERROR_ACCESS_DENIED;
  return WaitForSingleObject(process.get(), 0) == WAIT_TIMEOUT;
}

}  // namespace townsfolk

#endif
