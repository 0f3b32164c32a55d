// Calls on gRPC's completion queue. Whoever makes a call holds a `CallHandle`; a call whose handle is gone is
// cancelled, says nothing more, and is freed once gRPC has let go of it.
#pragma once

#include <grpcpp/grpcpp.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "clock.h"

namespace townsfolk {

class Calls;

// What a tag of the completion queue points to.
class Completion {
 public:
  virtual void complete(bool ok) = 0;
  // A tag must be a pointer to this very class.
  void* tag() { return this; }

 protected:
  ~Completion() = default;
};

class Call {
 public:
  explicit Call(Calls& calls) : calls_(calls) {}
  virtual ~Call() = default;
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // Says nothing more.
  void mute() { muted_ = true; }
  void abandon() {
    mute();
    context.TryCancel();
  }

  grpc::ClientContext context;

 protected:
  // gRPC holds nothing of this call any more; frees it unless a handle is left.
  void release();
  bool muted() const { return muted_; }

 private:
  Calls& calls_;
  bool muted_ = false;
};

class CallHandle {
 public:
  CallHandle() = default;
  explicit CallHandle(std::shared_ptr<Call> call) : call_(std::move(call)) {}
  CallHandle(CallHandle&& other) noexcept = default;
  CallHandle& operator=(CallHandle&& other) noexcept {
    reset();
    call_ = std::move(other.call_);
    return *this;
  }
  ~CallHandle() { reset(); }

  void reset() {
    if (call_) call_->abandon();
    call_.reset();
  }
  // Lets the call go on to its end without anybody to hear it.
  void detach() {
    if (call_) call_->mute();
    call_.reset();
  }
  explicit operator bool() const { return call_ != nullptr; }

 private:
  std::shared_ptr<Call> call_;
};

// A call with one answer.
template <class Response>
class UnaryCall final : public Call, public Completion {
 public:
  using OnEnd = std::function<void(const grpc::Status&, Response&)>;
  using Reader = grpc::ClientAsyncResponseReader<Response>;

  UnaryCall(Calls& calls, OnEnd on_end) : Call(calls), on_end_(std::move(on_end)) {}

  void start(std::unique_ptr<Reader> reader) {
    reader_ = std::move(reader);
    reader_->StartCall();
    reader_->Finish(&response_, &status_, tag());
  }

  void complete(bool) override {
    if (!muted()) on_end_(status_, response_);
    release();
  }

 private:
  OnEnd on_end_;
  Response response_;
  grpc::Status status_;
  std::unique_ptr<Reader> reader_;
};

// A call that streams its answers.
template <class Response>
class StreamCall final : public Call, public Completion {
 public:
  using OnMessage = std::function<void(Response&)>;
  using OnEnd = std::function<void(const grpc::Status&)>;
  using Reader = grpc::ClientAsyncReader<Response>;

  StreamCall(Calls& calls, OnMessage on_message, OnEnd on_end)
      : Call(calls), on_message_(std::move(on_message)), on_end_(std::move(on_end)) {}

  void start(std::unique_ptr<Reader> reader) {
    reader_ = std::move(reader);
    reader_->StartCall(tag());
  }

  void complete(bool ok) override {
    if (finishing_) {
      if (!muted()) on_end_(status_);
      release();
      return;
    }
    if (ok && started_ && !muted()) on_message_(response_);
    started_ = true;
    if (ok && !muted()) {
      reader_->Read(&response_, tag());
    } else {
      finishing_ = true;
      reader_->Finish(&status_, tag());
    }
  }

 private:
  OnMessage on_message_;
  OnEnd on_end_;
  Response response_;
  grpc::Status status_;
  std::unique_ptr<Reader> reader_;
  bool started_ = false;
  bool finishing_ = false;
};

// A call that streams both ways.
template <class Request, class Response>
class BidiCall final : public Call {
 public:
  using OnMessage = std::function<void(Response&)>;
  using OnEnd = std::function<void(const grpc::Status&)>;
  using Stream = grpc::ClientAsyncReaderWriter<Request, Response>;

  BidiCall(Calls& calls, OnMessage on_message, OnEnd on_end)
      : Call(calls), on_message_(std::move(on_message)), on_end_(std::move(on_end)), in_(*this), out_(*this) {}

  void start(std::unique_ptr<Stream> stream) {
    stream_ = std::move(stream);
    stream_->StartCall(in_.tag());
  }

  void write(Request request) {
    outbox_.push_back(std::move(request));
    write_next();
  }

  // Nothing more will be written.
  void half_close() {
    half_closing_ = true;
    write_next();
  }

 private:
  struct In final : Completion {
    explicit In(BidiCall& owner) : call(owner) {}
    void complete(bool ok) override { call.came_in(ok); }
    BidiCall& call;
  };
  struct Out final : Completion {
    explicit Out(BidiCall& owner) : call(owner) {}
    void complete(bool) override { call.went_out(); }
    BidiCall& call;
  };

  void came_in(bool ok) {
    if (finishing_) {
      if (!this->muted()) on_end_(status_);
      this->release();
      return;
    }
    if (ok && started_ && !this->muted()) on_message_(response_);
    started_ = true;
    if (ok && !this->muted()) {
      write_next();
      stream_->Read(&response_, in_.tag());
    } else {
      over_ = true;
      finish_if_idle();
    }
  }

  void went_out() {
    writing_ = false;
    if (!outbox_.empty()) outbox_.pop_front();
    if (over_) {
      finish_if_idle();
    } else {
      write_next();
    }
  }

  void write_next() {
    if (!started_ || writing_ || over_) return;
    if (!outbox_.empty()) {
      writing_ = true;
      stream_->Write(outbox_.front(), out_.tag());
    } else if (half_closing_ && !half_closed_) {
      writing_ = half_closed_ = true;
      stream_->WritesDone(out_.tag());
    }
  }

  void finish_if_idle() {
    if (writing_) return;
    finishing_ = true;
    stream_->Finish(&status_, in_.tag());
  }

  OnMessage on_message_;
  OnEnd on_end_;
  In in_;
  Out out_;
  Response response_;
  grpc::Status status_;
  std::unique_ptr<Stream> stream_;
  std::deque<Request> outbox_;
  bool started_ = false;
  bool writing_ = false;
  bool half_closing_ = false;
  bool half_closed_ = false;
  bool over_ = false;
  bool finishing_ = false;
};

// All calls of one client, and the queue that they complete on.
class Calls {
 public:
  grpc::CompletionQueue queue;

  // Metadata of every call that is made from now on. Empty: none.
  void set_token(std::string token) { token_ = std::move(token); }

  // `prepare(context, queue)` gives the reader; `on_end(status, response)` is called once.
  template <class Response, class Prepare>
  CallHandle unary(Clock::time_point deadline, Prepare prepare, typename UnaryCall<Response>::OnEnd on_end) {
    auto call = std::make_shared<UnaryCall<Response>>(*this, std::move(on_end));
    adopt(call);
    call->context.set_deadline(as_wall_clock(deadline));
    call->start(prepare(&call->context, &queue));
    return CallHandle(std::move(call));
  }

  template <class Response, class Prepare>
  CallHandle stream(Clock::time_point deadline, Prepare prepare, typename StreamCall<Response>::OnMessage on_message,
                    typename StreamCall<Response>::OnEnd on_end) {
    auto call = std::make_shared<StreamCall<Response>>(*this, std::move(on_message), std::move(on_end));
    adopt(call);
    call->context.set_deadline(as_wall_clock(deadline));
    call->start(prepare(&call->context, &queue));
    return CallHandle(std::move(call));
  }

  // Has no deadline: what runs on it has.
  template <class Request, class Response, class Prepare>
  std::shared_ptr<BidiCall<Request, Response>> bidi(Prepare prepare,
                                                    typename BidiCall<Request, Response>::OnMessage on_message,
                                                    typename BidiCall<Request, Response>::OnEnd on_end) {
    auto call = std::make_shared<BidiCall<Request, Response>>(*this, std::move(on_message), std::move(on_end));
    adopt(call);
    call->start(prepare(&call->context, &queue));
    return call;
  }

  void abandon_all();
  bool none() const { return live_.empty(); }

 private:
  friend class Call;
  void adopt(std::shared_ptr<Call> call);
  void forget(Call& call);

  std::string token_;
  std::unordered_map<Call*, std::shared_ptr<Call>> live_;
};

}  // namespace townsfolk
