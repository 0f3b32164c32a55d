// One line in many variants, side by side.
#pragma once

#include "calls.h"
#include "request.h"
#include "townsfolk/v1/preview.pb.h"

namespace townsfolk {

class Compare final : public Request {
 public:
  Compare(townsfolk_request id, double limit_s, v1::CompareRequest request)
      : Request(id, limit_s), request_(std::move(request)) {}

 private:
  void send() override;
  bool may_send() const override;
  void let_go() override { call_.reset(); }
  void receive(const v1::CompareResponse& response);
  void stream_ended(const grpc::Status& status);

  const v1::CompareRequest request_;
  CallHandle call_;
  bool heard_ = false;  // anything of it
  bool wait_for_engine_ = false;
};

}  // namespace townsfolk
