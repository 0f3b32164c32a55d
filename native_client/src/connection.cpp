#include "connection.h"

#include <grpcpp/generic/generic_stub.h>

#include <algorithm>
#include <random>

#include "channel.h"
#include "core.h"
#include "daemon_log.h"
#include "state_folder.h"

namespace townsfolk {

namespace {

constexpr auto kFirstPause = std::chrono::milliseconds(100);
constexpr auto kLongestPause = std::chrono::seconds(2);
constexpr auto kPatience = std::chrono::seconds(10);  // for a daemon that accepts a connection and says nothing
constexpr auto kFindingTakes = std::chrono::milliseconds(300);
constexpr auto kUnsaidPause = std::chrono::milliseconds(100);
constexpr int kServing = 1;
constexpr auto kQuickDeath = std::chrono::seconds(10);  // no longer than kPatience: to be silent is not to die
constexpr int kMostQuickDeaths = 5;

// Clients that lost the same daemon should not all come back at the same moment.
Clock::duration with_jitter(Clock::duration pause) {
  static thread_local std::minstd_rand random(std::random_device{}());
  return std::chrono::duration_cast<Clock::duration>(pause * std::uniform_real_distribution<>(0.8, 1.2)(random));
}

}  // namespace

Stubs::Stubs(const std::shared_ptr<grpc::Channel>& channel)
    : console(v1::ConsoleService::NewStub(channel)),
      daemon(v1::DaemonService::NewStub(channel)),
      dialogue(v1::DialogueService::NewStub(channel)),
      personas(v1::PersonaService::NewStub(channel)),
      preview(v1::PreviewService::NewStub(channel)),
      sessions(v1::SessionService::NewStub(channel)),
      stories(v1::StoryService::NewStub(channel)) {}

Connection::Connection(Core& core)
    : core_(core),
      announced_(core.settings.address.empty()),
      retry_timer_(core.timers),
      patience_timer_(core.timers),
      launching_timer_(core.timers),
      unsaid_timer_(core.timers),
      pause_(kFirstPause) {}

std::string Connection::trouble() const { return usable_ ? "" : trouble_; }

void Connection::start() { find_daemon(); }

void Connection::stop() {
  stop_launcher_ = true;
  if (launcher_.joinable()) launcher_.join();
  health_call_.reset();
  knock_call_.reset();
}

void Connection::find_daemon() {
  tell(TOWNSFOLK_CONNECTION_CONNECTING, "");
  if (core_.settings.launch) return launch();
  const auto found = read_announcement();
  if (!announced_) {
    const bool known = found && found->address == core_.settings.address;
    connect(known ? *found : Announcement{core_.settings.address, "", "", 0});
  } else if (found) {
    connect(*found);
  } else {
    lose("no daemon has announced itself on this machine; start one with `townsfolk serve`");
  }
}

// ── launching ──

void Connection::launch() {
  if (launcher_.joinable()) launcher_.join();  // it has posted its result and ended
  launching_timer_.set(Clock::now() + kFindingTakes, [this] { tell(TOWNSFOLK_CONNECTION_LAUNCHING, ""); });
  launcher_ = std::thread([this] {
    const LaunchOptions options{core_.settings.launch_command, core_.settings.launch_folder};
    LaunchResult result = ensure_daemon(options, stop_launcher_);
    core_.mailbox.post([this, result = std::move(result)] { launched(result); });
  });
}

void Connection::launched(const LaunchResult& result) {
  launching_timer_.stop();
  if (result.cancelled) return;
  if (!result.daemon) return fail(TOWNSFOLK_FAILED_PRECONDITION, result.error);
  launched_at_ = Clock::now();
  connect(*result.daemon);
}

// ── connecting ──

void Connection::connect(const Announcement& daemon) {
  daemon_ = daemon;
  std::string authority = core_.settings.tls_certificate_pem;
  if (authority.empty() && !daemon.tls_certificate.empty()) {
    if (!has_tls()) {
      return fail(TOWNSFOLK_FAILED_PRECONDITION, "the daemon at " + daemon.address +
                                                     " wants TLS, and this library was built without it; build it "
                                                     "with -DTOWNSFOLK_TLS=ON");
    }
    authority = read_text(daemon.tls_certificate).value_or("");
    if (authority.empty()) return lose("the certificate " + daemon.tls_certificate + " cannot be read");
  }
  core_.calls.set_token(core_.settings.token.empty() ? daemon.token : core_.settings.token);
  const auto channel = make_channel(daemon.address, authority);
  stubs_ = std::make_unique<Stubs>(channel);
  watch_health(channel);
}

void Connection::watch_health(const std::shared_ptr<grpc::Channel>& channel) {
  heard_ = false;
  patience_timer_.set(Clock::now() + kPatience, [this] { lose("the daemon at " + daemon_.address + " is silent"); });
  auto call = core_.calls.bidi<foreign::HealthCheckRequest, foreign::HealthCheckResponse>(
      [&](grpc::ClientContext* context, grpc::CompletionQueue* queue) {
        grpc::TemplatedGenericStub<foreign::HealthCheckRequest, foreign::HealthCheckResponse> stub(channel);
        return stub.PrepareCall(context, "/grpc.health.v1.Health/Watch", queue);
      },
      [this](const foreign::HealthCheckResponse& response) { heard_health(response.status() == kServing); },
      [this](const grpc::Status& status) {
        if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED) {
          return fail(TOWNSFOLK_FAILED_PRECONDITION, "what answers at " + daemon_.address + " is no Townsfolk daemon");
        }
        lose(usable_ ? "the connection to " + daemon_.address + " broke: " + status.error_message()
                     : "cannot connect to " + daemon_.address + ": " + status.error_message());
      });
  call->write({});
  call->half_close();
  health_call_ = CallHandle(std::move(call));
}

void Connection::heard_health(bool serving) {
  const bool changed = serving != serving_;
  serving_ = serving;
  if (!heard_) {
    heard_ = true;
    return knock();
  }
  if (!usable_ || !changed) return;
  tell(serving ? TOWNSFOLK_CONNECTION_READY : TOWNSFOLK_CONNECTION_NOT_SERVING, "");
  if (serving) core_.wake_all();
}

// Anybody may ask for the daemon's health. What else it answers shows whether the token is right.
void Connection::knock() {
  knock_call_ = core_.calls.unary<v1::GetStatsResponse>(
      Clock::now() + kPatience,
      [this](grpc::ClientContext* context, grpc::CompletionQueue* queue) {
        return stubs_->daemon->PrepareAsyncGetStats(context, {}, queue);
      },
      [this](const grpc::Status& status, v1::GetStatsResponse&) { knocked(status); });
}

void Connection::knocked(const grpc::Status& status) {
  switch (status.error_code()) {
    case grpc::StatusCode::OK:
      patience_timer_.stop();
      return core_.sessions.restore_all([this] { restored(); });
    case grpc::StatusCode::UNAUTHENTICATED:
    case grpc::StatusCode::PERMISSION_DENIED: {
      const auto now = core_.settings.token.empty() ? read_announcement() : std::nullopt;
      const bool same_place = now && (announced_ || now->address == daemon_.address);
      if (same_place && now->token != daemon_.token) return lose("the daemon was started again with another token");
      return fail(TOWNSFOLK_UNAUTHENTICATED, "the daemon at " + daemon_.address +
                                                 " refuses the token; give the one of its daemon.token or "
                                                 "daemon.token_file");
    }
    case grpc::StatusCode::UNIMPLEMENTED:
      return fail(TOWNSFOLK_FAILED_PRECONDITION, "what answers at " + daemon_.address + " is no Townsfolk daemon");
    default:
      lose("the daemon at " + daemon_.address + " does not answer: " + status.error_message());
  }
}

void Connection::restored() {
  usable_ = true;
  ++generation_;
  if (quick_deaths_ == 0) pause_ = kFirstPause;
  tell(serving_ ? TOWNSFOLK_CONNECTION_READY : TOWNSFOLK_CONNECTION_NOT_SERVING, "");
  core_.wake_all();
}

// ── losing it ──

void Connection::lose(const std::string& why) {
  if (failed_) return;
  usable_ = heard_ = serving_ = false;
  patience_timer_.stop();
  core_.sessions.stop_restoring();
  health_call_.reset();
  knock_call_.reset();
  if (core_.settings.launch && dies_again_and_again()) {
    return fail(TOWNSFOLK_UNAVAILABLE, "the daemon was launched and lost " + std::to_string(quick_deaths_) +
                                           " times in a row, each time within " + std::to_string(kQuickDeath.count()) +
                                           " s, and is not launched again: " + why + "; " + last_words_of_daemon());
  }
  if (told_ != TOWNSFOLK_CONNECTION_CONNECTING || why != trouble_) tell(TOWNSFOLK_CONNECTION_LOST, why);
  trouble_ = why;
  retry_timer_.set(Clock::now() + with_jitter(pause_), [this] { find_daemon(); });
  pause_ = std::min<Clock::duration>(pause_ * 2, kLongestPause);
}

// Whoever launches a daemon that crashes as soon as it serves would do so for ever, and load its model each time.
bool Connection::dies_again_and_again() {
  const bool quick = Clock::now() - launched_at_ < kQuickDeath;
  if (!quick) pause_ = kFirstPause;
  quick_deaths_ = quick ? quick_deaths_ + 1 : 0;
  return quick_deaths_ >= kMostQuickDeaths;
}

std::string Connection::last_words_of_daemon() const {
  const auto log = state_folder() / "daemon.log";
  return "its last words: " + last_words(log) + " (log: " + log.u8string() + ")";
}

void Connection::fail(int status, const std::string& why) {
  failed_ = true;
  usable_ = false;
  trouble_ = why;
  patience_timer_.stop();
  health_call_.reset();
  knock_call_.reset();
  tell(TOWNSFOLK_CONNECTION_FAILED, why);
  core_.give_up({status, why, "", 0});
}

// ── telling it ──

void Connection::tell(townsfolk_connection state, const std::string& why) {
  if (told_ == state && why.empty()) return;
  told_ = state;
  auto event = std::make_unique<Event>(TOWNSFOLK_EVENT_CONNECTION, 0);
  event->view.connection = state;
  event->set_text(why);
  unsaid_ = std::move(event);  // in the place of an older one that could not be said
  say_what_is_unsaid();
}

void Connection::say_what_is_unsaid() {
  if (!core_.events.try_push(unsaid_)) {
    unsaid_timer_.set(Clock::now() + kUnsaidPause, [this] { say_what_is_unsaid(); });
  } else {
    unsaid_timer_.stop();
  }
}

}  // namespace townsfolk
