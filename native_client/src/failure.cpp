#include "failure.h"

#include "foreign.pb.h"

namespace townsfolk {

namespace {

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

void read_details(const std::string& serialized, Failure& failure) {
  foreign::Status status;
  if (!status.ParseFromString(serialized)) return;
  for (const auto& detail : status.details()) {
    foreign::BadRequest bad_request;
    foreign::RetryInfo retry;
    if (ends_with(detail.type_url(), "/google.rpc.BadRequest") && bad_request.ParseFromString(detail.value()) &&
        bad_request.field_violations_size() > 0) {
      failure.field = bad_request.field_violations(0).field();
    } else if (ends_with(detail.type_url(), "/google.rpc.RetryInfo") && retry.ParseFromString(detail.value())) {
      failure.retry_after_s =
          static_cast<double>(retry.retry_delay().seconds()) + retry.retry_delay().nanos() / 1'000'000'000.0;
    }
  }
}

}  // namespace

Failure failure_of(const grpc::Status& status) {
  Failure failure;
  failure.status = status.error_code();
  failure.text = status.error_message();
  read_details(status.error_details(), failure);
  if (failure.text.empty()) failure.text = "the daemon gave no reason";
  return failure;
}

bool may_come_back(const grpc::Status& status) {
  // a server that stops cancels what still runs; our own cancels are never asked
  return status.error_code() == grpc::StatusCode::UNAVAILABLE || status.error_code() == grpc::StatusCode::CANCELLED;
}

EventPtr error_event(townsfolk_request request, const Failure& failure) {
  auto event = std::make_unique<Event>(TOWNSFOLK_EVENT_ERROR, request);
  event->view.status = failure.status;
  event->set_text(failure.text);
  event->view.field = event->keep(failure.field);
  event->view.retry_after_s = failure.retry_after_s;
  return event;
}

}  // namespace townsfolk
