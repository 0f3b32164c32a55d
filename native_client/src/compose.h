// What is asked of StoryService.
#pragma once

#include "calls.h"
#include "picture_assembly.h"
#include "request.h"
#include "townsfolk/v1/story.pb.h"

namespace townsfolk {

class Compose final : public Request {
 public:
  Compose(townsfolk_request id, v1::ComposeRequest request)
      : Request(id, request.deadline_s()), request_(std::move(request)) {}

 private:
  void send() override;
  bool may_send() const override;
  void let_go() override { call_.reset(); }
  void receive(const v1::ComposeResponse& response);
  void begin_picture(const v1::ComposeResponse& response);
  void add_to_picture(const v1::PictureChunk& chunk);
  void stream_ended(const grpc::Status& status);
  void lose(const char* what);

  const v1::ComposeRequest request_;
  CallHandle call_;
  PictureAssembly picture_;
  std::uint32_t pictures_ = 0;  // that have begun
  EventPtr last_;               // once everything is done, until the call has ended
  bool heard_ = false;          // anything of it
  bool wait_for_engine_ = false;
};

}  // namespace townsfolk
