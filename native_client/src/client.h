// What stands behind a `townsfolk_client`: the caller's view of its requests. Used by one thread at a time.
#pragma once

#include <memory>
#include <unordered_map>

#include "core.h"

namespace townsfolk {

class Client {
 public:
  explicit Client(Settings settings);

  const townsfolk_event* poll();

  // The number that the next request is to have. Throws `Refused` if too many are open.
  townsfolk_request next_number() const;
  // Takes a request of that number.
  townsfolk_request add(std::unique_ptr<Request> request);
  townsfolk_request add_scene();
  bool cancel(townsfolk_request request);
  bool close_scene(townsfolk_request scene);
  bool is_open_scene(townsfolk_request request) const;

  const Settings& settings() const { return core_.settings; }

 private:
  enum class Kind { kRequest, kScene, kClosingScene };

  // Until its last event has been handed out.
  std::unordered_map<townsfolk_request, Kind> open_;
  townsfolk_request count_ = 0;
  EventPtr shown_;
  Core core_;
};

}  // namespace townsfolk
