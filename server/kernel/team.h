// A team of threads that run one function together and meet at barriers.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#define TK_PAUSE() _mm_pause()
#else
#define TK_PAUSE() std::this_thread::yield()
#endif

namespace townsfolk {

class Team {
 public:
  Team(int threads, int spin) : threads_(threads), spin_(spin) {
    for (int i = 1; i < threads_; ++i) workers_.emplace_back([this, i] { work(i); });
  }

  ~Team() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
      ++generation_;
    }
    wake_.notify_all();
    for (auto& worker : workers_) worker.join();
  }

  int threads() const { return threads_; }

  // Runs `job(thread)` on all threads; the calling one is thread 0. Returns when all have finished.
  void run(const std::function<void(int)>& job) {
    next_.store(0, std::memory_order_relaxed);
    if (threads_ == 1) {
      job(0);
      return;
    }
    {
      std::lock_guard<std::mutex> lock(mutex_);
      job_ = &job;
      ++generation_;
    }
    wake_.notify_all();
    job(0);
    barrier();
  }

  // Calls `task(i)` for all i in [0, count) on whichever thread is free, and waits for all of them.
  template <typename Task>
  void share(int count, const Task& task) {
    for (int i = next_.fetch_add(1, std::memory_order_relaxed); i < count;
         i = next_.fetch_add(1, std::memory_order_relaxed)) {
      task(i);
    }
    barrier();
  }

 private:
  // The last one to arrive resets the counter of `share`, so that the next one starts at 0.
  void barrier() {
    if (threads_ == 1) {
      next_.store(0, std::memory_order_relaxed);
      return;
    }
    const unsigned phase = phase_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) == threads_ - 1) {
      arrived_.store(0, std::memory_order_relaxed);
      next_.store(0, std::memory_order_relaxed);
      phase_.store(phase + 1, std::memory_order_release);
      return;
    }
    for (int looks = 0; phase_.load(std::memory_order_acquire) == phase; ++looks) {
      if (looks < spin_) {
        TK_PAUSE();
      } else {
        std::this_thread::yield();
      }
    }
  }

  void work(int index) {
    unsigned seen = 0;
    while (true) {
      const std::function<void(int)>* job;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return generation_ != seen; });
        seen = generation_;
        if (stopping_) return;
        job = job_;
      }
      (*job)(index);
      barrier();
    }
  }

  const int threads_;
  const int spin_;
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  const std::function<void(int)>* job_ = nullptr;
  unsigned generation_ = 0;
  bool stopping_ = false;
  alignas(64) std::atomic<int> next_{0};
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<unsigned> phase_{0};
};

}  // namespace townsfolk
