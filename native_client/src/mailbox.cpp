#include "mailbox.h"

#include <grpc/support/time.h>

namespace townsfolk {

Mailbox::~Mailbox() {
  for (Post* post = newest_.exchange(nullptr); post != nullptr;) {
    delete std::exchange(post, post->next);
  }
}

void Mailbox::push(Post* post) {
  Post* before = newest_.load(std::memory_order_relaxed);
  do {
    post->next = before;
  } while (!newest_.compare_exchange_weak(before, post, std::memory_order_acq_rel, std::memory_order_relaxed));
  // Who finds the box empty rings, and nobody rings again before it has been emptied: the alarm is never set twice.
  if (before == nullptr) bell_.Set(&queue_, gpr_time_0(GPR_CLOCK_MONOTONIC), tag());
}

void Mailbox::complete(bool) {
  Post* newest_first = newest_.exchange(nullptr, std::memory_order_acq_rel);
  Post* oldest_first = nullptr;
  while (newest_first != nullptr) {
    Post* post = std::exchange(newest_first, newest_first->next);
    post->next = std::exchange(oldest_first, post);
  }
  while (oldest_first != nullptr) {
    const std::unique_ptr<Post> post(std::exchange(oldest_first, oldest_first->next));
    if (!closed_) post->run();
  }
}

}  // namespace townsfolk
