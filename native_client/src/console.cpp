#include "console.h"

namespace townsfolk {

void ExecuteCommand::send() {
  call_ = core().calls.stream<v1::ExecuteResponse>(
      deadline() + kDeadlineGrace,
      [this](grpc::ClientContext* context, grpc::CompletionQueue* queue) {
        return core().connection.stubs().console->PrepareAsyncExecute(context, request_, queue);
      },
      [this](const v1::ExecuteResponse& response) {
        auto event = std::make_unique<Event>(TOWNSFOLK_EVENT_CONSOLE_OUTPUT, id());
        event->set_text(response.text());
        event->view.console_style = static_cast<int32_t>(response.style());
        say(std::move(event));
      },
      [this](const grpc::Status& status) {
        if (!status.ok()) return fail(failure_of(status));
        end(std::make_unique<Event>(TOWNSFOLK_EVENT_CONSOLE_FINISHED, id()));
      });
}

CompleteCommand::Reader CompleteCommand::prepare(grpc::ClientContext* context, grpc::CompletionQueue* queue) {
  return stubs().console->PrepareAsyncComplete(context, question_, queue);
}

void CompleteCommand::answered(v1::CompleteResponse& response) {
  auto event = std::make_unique<Event>(TOWNSFOLK_EVENT_COMPLETIONS, id());
  const auto count = static_cast<std::size_t>(response.completions_size());
  auto* completions = event->array<townsfolk_completion>(count);
  for (int i = 0; i < response.completions_size(); ++i) {
    completions[i].text = event->keep(response.completions(i).text());
    completions[i].description = event->keep(response.completions(i).description());
  }
  event->view.completions = completions;
  event->view.completion_count = count;
  event->view.replace_start = response.replace_start();
  event->view.replace_end = response.replace_end();
  end(std::move(event));
}

}  // namespace townsfolk
