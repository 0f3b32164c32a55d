#include "persona_requests.h"

#include "json.h"

namespace townsfolk {

ListPersonas::Reader ListPersonas::prepare(grpc::ClientContext* context, grpc::CompletionQueue* queue) {
  return stubs().personas->PrepareAsyncList(context, question_, queue);
}

void ListPersonas::answered(v1::ListResponse& page) {
  for (auto& persona : *page.mutable_personas()) personas_.push_back(std::move(persona));
  if (!page.next_page_token().empty()) {
    question_.set_page_token(page.next_page_token());
    return wait();
  }
  auto event = std::make_unique<Event>(TOWNSFOLK_EVENT_PERSONAS, id());
  auto* list = event->array<townsfolk_persona>(personas_.size());
  for (std::size_t i = 0; i < personas_.size(); ++i) {
    const v1::Persona& persona = personas_[i];
    list[i].id = event->keep(persona.id());
    list[i].name = event->keep(persona.name());
    list[i].summary = event->keep(persona.summary());
    list[i].has_adapter = persona.adapter().digest().empty() ? 0 : 1;
    list[i].adapter_rank = persona.adapter().rank();
  }
  event->view.personas = list;
  event->view.persona_count = personas_.size();
  end(std::move(event));
}

GetStats::Reader GetStats::prepare(grpc::ClientContext* context, grpc::CompletionQueue* queue) {
  return stubs().daemon->PrepareAsyncGetStats(context, question_, queue);
}

void GetStats::answered(v1::GetStatsResponse& stats) {
  auto event = std::make_unique<Event>(TOWNSFOLK_EVENT_STATS, id());
  event->view.json = event->keep(to_json(stats));
  end(std::move(event));
}

}  // namespace townsfolk
