// Conversations outlive the daemon: what is needed to open each of them again in the next one.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "calls.h"
#include "timers.h"
#include "townsfolk/v1/session.pb.h"

namespace townsfolk {

class Core;

// Does nothing unless the client launches daemons: elsewhere a daemon that is started again is somebody else's doing.
class SessionKeeper {
 public:
  explicit SessionKeeper(Core& core);

  void opened(const v1::OpenRequest& request, const std::string& session_id);
  void restored(const std::string& state, const std::string& session_id);
  void forked(const std::string& from_session_id, const std::string& session_id);
  void closed(const std::string& session_id);
  // Something was said in it: it is saved again soon.
  void spoken_in(const std::string& session_id);

  // Opens in the daemon what is not open there, then calls `done`.
  void restore_all(std::function<void()> done);
  void stop_restoring();

 private:
  struct Kept {
    v1::OpenRequest as_opened;  // how it began
    std::string state;          // its latest save; empty: none
    bool stale = false;         // more was said since
    CallHandle call;
  };

  bool on() const;
  void save_soon();
  void save_stale();
  void save(const std::string& session_id);
  void restore_next();
  void restore(const std::string& session_id);
  void open_anew(const std::string& session_id);
  void one_restored(const std::string& session_id);
  void keep(Kept& kept, std::string state);

  Core& core_;
  std::map<std::string, Kept> sessions_;
  std::size_t state_bytes_ = 0;
  Timer save_timer_;
  std::deque<std::string> to_restore_;
  std::size_t restoring_ = 0;
  std::function<void()> done_;
};

}  // namespace townsfolk
