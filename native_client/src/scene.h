// Any number of lines on one stream. The stream is opened by the first line and again after a connection broke; the
// scene outlives it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "calls.h"
#include "request.h"
#include "townsfolk/v1/dialogue.pb.h"

namespace townsfolk {

class Turn;

class Scene final : public Request {
 public:
  explicit Scene(townsfolk_request id) : Request(id, 0) {}

  // Lets its lines end, then ends.
  void close();
  // Ends its lines at once.
  void cancel() override;

  // ── for its turns ──

  void join(Turn& turn);
  void say(Turn& turn);
  void cancel_turn(const std::string& turn_id);
  void leave(Turn& turn);

 private:
  using Stream = BidiCall<v1::ConverseRequest, v1::ConverseResponse>;

  void send() override {}  // its turns do
  void let_go() override;
  void open_stream();
  void receive(const v1::ConverseResponse& response);
  Turn* addressee(const v1::TurnEvent& event) const;
  void stream_ended(const grpc::Status& status);
  std::vector<Turn*> turns() const;
  void end_if_over();

  std::map<Turn*, std::string> turns_;  // with the id that each was last asked for under, if it was
  std::map<std::string, Turn*> by_id_;
  std::shared_ptr<Stream> stream_;
  CallHandle handle_;  // of the stream
  bool closing_ = false;
};

}  // namespace townsfolk
