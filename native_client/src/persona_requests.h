// What is asked of PersonaService and DaemonService.
#pragma once

#include <vector>

#include "ask.h"

namespace townsfolk {

class ListPersonas final : public Ask<v1::ListRequest, v1::ListResponse> {
 public:
  ListPersonas(townsfolk_request id, double limit_s) : Ask(id, limit_s, {}) {}

 private:
  Reader prepare(grpc::ClientContext* context, grpc::CompletionQueue* queue) override;
  void answered(v1::ListResponse& page) override;

  std::vector<v1::Persona> personas_;
};

class GetStats final : public Ask<v1::GetStatsRequest, v1::GetStatsResponse> {
 public:
  GetStats(townsfolk_request id, double limit_s) : Ask(id, limit_s, {}) {}

 private:
  Reader prepare(grpc::ClientContext* context, grpc::CompletionQueue* queue) override;
  void answered(v1::GetStatsResponse& stats) override;
};

}  // namespace townsfolk
