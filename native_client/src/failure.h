// Why something failed, as events tell it.
#pragma once

#include <grpcpp/support/status.h>

#include <string>

#include "event.h"
#include "townsfolk_client.h"

namespace townsfolk {

struct Failure {
  int status = TOWNSFOLK_UNKNOWN;
  std::string text;
  std::string field;
  double retry_after_s = 0;
};

// Reads the field at fault and the time to wait out of the status's details.
Failure failure_of(const grpc::Status& status);

// Whether a call ended so because the daemon, its engine or the way there is gone for now.
bool may_come_back(const grpc::Status& status);

EventPtr error_event(townsfolk_request request, const Failure& failure);

}  // namespace townsfolk
