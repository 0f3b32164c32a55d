#include "session_requests.h"

namespace townsfolk {

namespace {

EventPtr session_event(townsfolk_event_kind kind, townsfolk_request request, const std::string& session_id) {
  auto event = std::make_unique<Event>(kind, request);
  event->view.session_id = event->keep(session_id);
  return event;
}

bool is_taken(const grpc::Status& status, const char* field) {
  return status.error_code() == grpc::StatusCode::ALREADY_EXISTS ||
         (status.error_code() == grpc::StatusCode::INVALID_ARGUMENT && failure_of(status).field == field);
}

}  // namespace

// ── open ──

OpenSession::Reader OpenSession::prepare(grpc::ClientContext* context, grpc::CompletionQueue* queue) {
  return stubs().sessions->PrepareAsyncOpen(context, question_, queue);
}

void OpenSession::answered(v1::OpenResponse& response) {
  core().sessions.opened(question_, response.session_id());
  end(session_event(TOWNSFOLK_EVENT_SESSION_OPENED, id(), response.session_id()));
}

bool OpenSession::refused(const grpc::Status& status) {
  if (!may_have_been_done() || !is_taken(status, "session_id")) return false;
  v1::OpenResponse opened_before;
  opened_before.set_session_id(question_.session_id());
  answered(opened_before);
  return true;
}

// ── close ──

CloseSession::Reader CloseSession::prepare(grpc::ClientContext* context, grpc::CompletionQueue* queue) {
  return stubs().sessions->PrepareAsyncClose(context, question_, queue);
}

void CloseSession::answered(v1::CloseResponse&) {
  core().sessions.closed(question_.session_id());
  end(session_event(TOWNSFOLK_EVENT_SESSION_CLOSED, id(), question_.session_id()));
}

bool CloseSession::refused(const grpc::Status& status) {
  if (!may_have_been_done() || status.error_code() != grpc::StatusCode::NOT_FOUND) return false;
  v1::CloseResponse closed_before;
  answered(closed_before);
  return true;
}

// ── save and restore ──

SaveSession::Reader SaveSession::prepare(grpc::ClientContext* context, grpc::CompletionQueue* queue) {
  return stubs().sessions->PrepareAsyncSave(context, question_, queue);
}

void SaveSession::answered(v1::SaveResponse& response) {
  auto event = session_event(TOWNSFOLK_EVENT_SESSION_SAVED, id(), question_.session_id());
  event->set_bytes(response.state());
  end(std::move(event));
}

RestoreSession::Reader RestoreSession::prepare(grpc::ClientContext* context, grpc::CompletionQueue* queue) {
  return stubs().sessions->PrepareAsyncRestore(context, question_, queue);
}

void RestoreSession::answered(v1::RestoreResponse& response) {
  core().sessions.restored(question_.state(), response.session_id());
  std::string missing;
  for (const std::string& persona_id : response.missing_persona_ids()) {
    missing += (missing.empty() ? "" : ",") + persona_id;
  }
  auto event = session_event(TOWNSFOLK_EVENT_SESSION_OPENED, id(), response.session_id());
  event->set_text(missing);
  end(std::move(event));
}

// ── fork ──

ForkSession::Reader ForkSession::prepare(grpc::ClientContext* context, grpc::CompletionQueue* queue) {
  return stubs().sessions->PrepareAsyncFork(context, question_, queue);
}

void ForkSession::answered(v1::ForkResponse& response) {
  core().sessions.forked(question_.session_id(), response.session_id());
  end(session_event(TOWNSFOLK_EVENT_SESSION_OPENED, id(), response.session_id()));
}

bool ForkSession::refused(const grpc::Status& status) {
  if (!may_have_been_done() || !is_taken(status, "new_session_id")) return false;
  v1::ForkResponse forked_before;
  forked_before.set_session_id(question_.new_session_id());
  answered(forked_before);
  return true;
}

// ── heard ──

ReportHeard::Reader ReportHeard::prepare(grpc::ClientContext* context, grpc::CompletionQueue* queue) {
  question_.set_turn_id(core().turn_names.daemons(name_));
  return stubs().dialogue->PrepareAsyncReportHeard(context, question_, queue);
}

void ReportHeard::answered(v1::ReportHeardResponse& response) {
  auto event = std::make_unique<Event>(TOWNSFOLK_EVENT_HEARD, id());
  event->view.turn_id = event->keep(name_);
  event->set_text(response.kept_text());
  end(std::move(event));
}

}  // namespace townsfolk
