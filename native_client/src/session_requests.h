// What is asked of SessionService, and what was heard of a line.
#pragma once

#include "ask.h"

namespace townsfolk {

// A request that opens a session, and has lines of it wait meanwhile.
template <class Question, class Answer>
class OpeningAsk : public Ask<Question, Answer> {
 protected:
  using Ask<Question, Answer>::Ask;

  // "" if the daemon chooses it.
  virtual const std::string& opened_id() const = 0;

  void begun() override {
    if (!opened_id().empty()) this->core().opening_sessions.insert(opened_id());
  }

  void closing() override {
    auto& opening = this->core().opening_sessions;
    const auto found = opening.find(opened_id());
    if (found == opening.end()) return;
    opening.erase(found);
    this->core().wake_all();
  }
};

class OpenSession final : public OpeningAsk<v1::OpenRequest, v1::OpenResponse> {
 public:
  OpenSession(townsfolk_request id, double limit_s, v1::OpenRequest request)
      : OpeningAsk(id, limit_s, std::move(request)) {}

 private:
  const std::string& opened_id() const override { return question_.session_id(); }
  Reader prepare(grpc::ClientContext* context, grpc::CompletionQueue* queue) override;
  void answered(v1::OpenResponse& response) override;
  bool refused(const grpc::Status& status) override;
};

class CloseSession final : public Ask<v1::CloseRequest, v1::CloseResponse> {
 public:
  CloseSession(townsfolk_request id, double limit_s, v1::CloseRequest request) : Ask(id, limit_s, std::move(request)) {}

 private:
  Reader prepare(grpc::ClientContext* context, grpc::CompletionQueue* queue) override;
  void answered(v1::CloseResponse& response) override;
  bool refused(const grpc::Status& status) override;
};

class SaveSession final : public Ask<v1::SaveRequest, v1::SaveResponse> {
 public:
  SaveSession(townsfolk_request id, double limit_s, v1::SaveRequest request) : Ask(id, limit_s, std::move(request)) {}

 private:
  Reader prepare(grpc::ClientContext* context, grpc::CompletionQueue* queue) override;
  void answered(v1::SaveResponse& response) override;
};

class RestoreSession final : public OpeningAsk<v1::RestoreRequest, v1::RestoreResponse> {
 public:
  RestoreSession(townsfolk_request id, double limit_s, v1::RestoreRequest request)
      : OpeningAsk(id, limit_s, std::move(request)) {}

 private:
  const std::string& opened_id() const override { return question_.session_id(); }
  Reader prepare(grpc::ClientContext* context, grpc::CompletionQueue* queue) override;
  void answered(v1::RestoreResponse& response) override;
};

class ForkSession final : public OpeningAsk<v1::ForkRequest, v1::ForkResponse> {
 public:
  ForkSession(townsfolk_request id, double limit_s, v1::ForkRequest request)
      : OpeningAsk(id, limit_s, std::move(request)) {}

 private:
  const std::string& opened_id() const override { return question_.new_session_id(); }
  Reader prepare(grpc::ClientContext* context, grpc::CompletionQueue* queue) override;
  void answered(v1::ForkResponse& response) override;
  bool refused(const grpc::Status& status) override;
};

class ReportHeard final : public Ask<v1::ReportHeardRequest, v1::ReportHeardResponse> {
 public:
  ReportHeard(townsfolk_request id, double limit_s, v1::ReportHeardRequest request)
      : Ask(id, limit_s, std::move(request)), name_(question_.turn_id()) {}

 private:
  Reader prepare(grpc::ClientContext* context, grpc::CompletionQueue* queue) override;
  void answered(v1::ReportHeardResponse& response) override;

  const std::string name_;
};

}  // namespace townsfolk
