// A request that is one call with one answer.
#pragma once

#include <functional>
#include <utility>

#include "calls.h"
#include "core.h"
#include "request.h"

namespace townsfolk {

template <class Question, class Answer>
class Ask : public Request {
 protected:
  Ask(townsfolk_request id, double limit_s, Question question) : Request(id, limit_s), question_(std::move(question)) {}

  using Reader = std::unique_ptr<grpc::ClientAsyncResponseReader<Answer>>;

  virtual Reader prepare(grpc::ClientContext* context, grpc::CompletionQueue* queue) = 0;
  // Ends the request, or asks on.
  virtual void answered(Answer& answer) = 0;
  // What a refusal means that is not an end. Returns whether it has ended the request.
  virtual bool refused(const grpc::Status&) { return false; }

  void send() override {
    ++tries_;
    call_ = core().calls.template unary<Answer>(
        deadline() + kDeadlineGrace,
        [this](grpc::ClientContext* context, grpc::CompletionQueue* queue) { return prepare(context, queue); },
        [this](const grpc::Status& status, Answer& answer) {
          if (status.ok()) return answered(answer);
          if (refused(status)) return;
          if (may_come_back(status)) return try_again(status);
          fail(failure_of(status));
        });
  }

  void let_go() override { call_.reset(); }

  const Stubs& stubs() const { return core().connection.stubs(); }
  // A try before this one broke off, and may have been heard in spite of that.
  bool may_have_been_done() const { return tries_ > 1; }

  Question question_;

 private:
  CallHandle call_;
  int tries_ = 0;
};

}  // namespace townsfolk
