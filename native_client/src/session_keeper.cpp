#include "session_keeper.h"

#include <utility>

#include "core.h"

namespace townsfolk {

namespace {

constexpr auto kSavePause = std::chrono::milliseconds(250);  // lines in quick succession are saved once
constexpr std::size_t kRestoredAtOnce = 16;
constexpr std::size_t kMaxStateBytes = 256u << 20;  // beyond, sessions go without: they would be opened anew

}  // namespace

SessionKeeper::SessionKeeper(Core& core) : core_(core), save_timer_(core.timers) {}

bool SessionKeeper::on() const { return core_.settings.launch; }

void SessionKeeper::opened(const v1::OpenRequest& request, const std::string& session_id) {
  if (!on()) return;
  Kept& kept = sessions_[session_id];
  kept.as_opened = request;
  kept.as_opened.set_session_id(session_id);
}

void SessionKeeper::restored(const std::string& state, const std::string& session_id) {
  if (!on()) return;
  keep(sessions_[session_id], state);
}

void SessionKeeper::forked(const std::string& from_session_id, const std::string& session_id) {
  if (!on()) return;
  const auto from = sessions_.find(from_session_id);
  if (from != sessions_.end()) opened(v1::OpenRequest(from->second.as_opened), session_id);
  spoken_in(session_id);
}

void SessionKeeper::closed(const std::string& session_id) {
  const auto found = sessions_.find(session_id);
  if (found == sessions_.end()) return;
  state_bytes_ -= found->second.state.size();
  sessions_.erase(found);
}

void SessionKeeper::keep(Kept& kept, std::string state) {
  state_bytes_ -= kept.state.size();
  if (state_bytes_ + state.size() > kMaxStateBytes) state.clear();
  state_bytes_ += state.size();
  kept.state = std::move(state);
}

// ── saving ──

void SessionKeeper::spoken_in(const std::string& session_id) {
  const auto found = sessions_.find(session_id);
  if (found == sessions_.end()) return;
  found->second.stale = true;
  save_soon();
}

void SessionKeeper::save_soon() {
  if (!save_timer_.running()) save_timer_.set(Clock::now() + kSavePause, [this] { save_stale(); });
}

void SessionKeeper::save_stale() {
  if (!core_.connection.usable()) return save_soon();
  for (auto& [session_id, kept] : sessions_) {
    if (kept.stale && !kept.call) save(session_id);
  }
}

void SessionKeeper::save(const std::string& session_id) {
  Kept& kept = sessions_[session_id];
  kept.stale = false;
  v1::SaveRequest request;
  request.set_session_id(session_id);
  kept.call = core_.calls.unary<v1::SaveResponse>(
      Clock::now() + seconds(core_.settings.call_deadline_s),
      [&](grpc::ClientContext* context, grpc::CompletionQueue* queue) {
        return core_.connection.stubs().sessions->PrepareAsyncSave(context, request, queue);
      },
      [this, session_id](const grpc::Status& status, v1::SaveResponse& response) {
        Kept& saved = sessions_[session_id];  // its handle is gone with it, so it is there
        saved.call.reset();
        if (status.ok()) {
          keep(saved, std::move(*response.mutable_state()));
        } else if (may_come_back(status)) {
          saved.stale = true;
        }
        if (saved.stale) save_soon();
      });
}

// ── restoring ──

void SessionKeeper::restore_all(std::function<void()> done) {
  done_ = std::move(done);
  to_restore_.clear();
  restoring_ = 0;
  for (auto& [session_id, kept] : sessions_) {
    kept.call.reset();
    to_restore_.push_back(session_id);
  }
  restore_next();
}

void SessionKeeper::stop_restoring() {
  done_ = nullptr;
  to_restore_.clear();
  for (auto& [session_id, kept] : sessions_) {
    if (std::exchange(kept.call, CallHandle())) kept.stale = true;
  }
}

void SessionKeeper::restore_next() {
  while (restoring_ < kRestoredAtOnce && !to_restore_.empty()) {
    const std::string session_id = std::move(to_restore_.front());
    to_restore_.pop_front();
    ++restoring_;
    if (sessions_[session_id].state.empty()) {
      open_anew(session_id);
    } else {
      restore(session_id);
    }
  }
  if (restoring_ == 0 && done_) std::exchange(done_, nullptr)();
}

// A session that the daemon still has is refused, which is as good.
void SessionKeeper::restore(const std::string& session_id) {
  Kept& kept = sessions_[session_id];
  v1::RestoreRequest request;
  request.set_state(kept.state);
  request.set_session_id(session_id);
  kept.call = core_.calls.unary<v1::RestoreResponse>(
      Clock::now() + seconds(core_.settings.call_deadline_s),
      [&](grpc::ClientContext* context, grpc::CompletionQueue* queue) {
        return core_.connection.stubs().sessions->PrepareAsyncRestore(context, request, queue);
      },
      [this, session_id](const grpc::Status& status, v1::RestoreResponse&) {
        const bool open = status.ok() || status.error_code() == grpc::StatusCode::ALREADY_EXISTS;
        open ? one_restored(session_id) : open_anew(session_id);
      });
}

void SessionKeeper::open_anew(const std::string& session_id) {
  Kept& kept = sessions_[session_id];
  if (kept.as_opened.persona_ids_size() == 0) return one_restored(session_id);  // who took part, only a save would tell
  kept.call = core_.calls.unary<v1::OpenResponse>(
      Clock::now() + seconds(core_.settings.call_deadline_s),
      [&](grpc::ClientContext* context, grpc::CompletionQueue* queue) {
        return core_.connection.stubs().sessions->PrepareAsyncOpen(context, kept.as_opened, queue);
      },
      [this, session_id](const grpc::Status&, v1::OpenResponse&) { one_restored(session_id); });
}

void SessionKeeper::one_restored(const std::string& session_id) {
  sessions_[session_id].call.reset();
  --restoring_;
  restore_next();
}

}  // namespace townsfolk
