// What other threads ask the background thread to do. Posting never waits.
#pragma once

#include <grpcpp/alarm.h>
#include <grpcpp/completion_queue.h>

#include <atomic>
#include <memory>
#include <utility>

#include "calls.h"

namespace townsfolk {

class Mailbox final : public Completion {
 public:
  explicit Mailbox(grpc::CompletionQueue& queue) : queue_(queue) {}
  ~Mailbox();

  // From any thread: have `what` run on the background thread, after everything posted before.
  template <class What>
  void post(What what) {
    push(new Letter<What>(std::move(what)));
  }

  // On the background thread: do what was posted.
  void complete(bool ok) override;
  // On the background thread: from now on, throw away what is posted.
  void close() { closed_ = true; }

 private:
  struct Post {
    virtual ~Post() = default;
    virtual void run() = 0;
    Post* next = nullptr;
  };
  template <class What>
  struct Letter final : Post {
    explicit Letter(What given) : what(std::move(given)) {}
    void run() override { what(); }
    What what;
  };

  void push(Post* post);

  grpc::CompletionQueue& queue_;
  grpc::Alarm bell_;
  std::atomic<Post*> newest_{nullptr};
  bool closed_ = false;
};

}  // namespace townsfolk
