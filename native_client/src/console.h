// What is asked of ConsoleService.
#pragma once

#include "ask.h"

namespace townsfolk {

// Is sent once only: a command may have done its work even if its answer was lost.
class ExecuteCommand final : public Request {
 public:
  ExecuteCommand(townsfolk_request id, double limit_s, v1::ExecuteRequest request)
      : Request(id, limit_s), request_(std::move(request)) {}

 private:
  void send() override;
  void let_go() override { call_.reset(); }

  const v1::ExecuteRequest request_;
  CallHandle call_;
};

class CompleteCommand final : public Ask<v1::CompleteRequest, v1::CompleteResponse> {
 public:
  CompleteCommand(townsfolk_request id, double limit_s, v1::CompleteRequest request)
      : Ask(id, limit_s, std::move(request)) {}

 private:
  Reader prepare(grpc::ClientContext* context, grpc::CompletionQueue* queue) override;
  void answered(v1::CompleteResponse& response) override;
};

}  // namespace townsfolk
