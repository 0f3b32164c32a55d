#include "client.h"

#include "refused.h"
#include "scene.h"

namespace townsfolk {

Client::Client(Settings settings) : core_(std::move(settings)) {}

const townsfolk_event* Client::poll() {
  shown_ = core_.events.pop();
  if (!shown_) return nullptr;
  if (shown_->view.last != 0) open_.erase(shown_->view.request);
  return &shown_->view;
}

townsfolk_request Client::next_number() const {
  if (open_.size() >= Core::kMaxRequests) {
    throw Refused(TOWNSFOLK_RESOURCE_EXHAUSTED,
                  std::to_string(open_.size()) + " requests are open; poll until some have ended");
  }
  return count_ + 1;
}

townsfolk_request Client::add(std::unique_ptr<Request> request) {
  count_ = request->id();
  open_.emplace(count_, Kind::kRequest);
  core_.add(std::move(request));
  return count_;
}

townsfolk_request Client::add_scene() {
  const auto scene = add(std::make_unique<Scene>(next_number()));
  open_[scene] = Kind::kScene;
  return scene;
}

bool Client::cancel(townsfolk_request request) {
  if (open_.count(request) == 0) return false;
  core_.cancel(request);
  return true;
}

bool Client::close_scene(townsfolk_request scene) {
  if (!is_open_scene(scene)) return false;
  open_[scene] = Kind::kClosingScene;
  core_.close_scene(scene);
  return true;
}

bool Client::is_open_scene(townsfolk_request request) const {
  const auto found = open_.find(request);
  return found != open_.end() && found->second == Kind::kScene;
}

}  // namespace townsfolk
