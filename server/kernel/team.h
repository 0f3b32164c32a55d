// A team of threads that run one function together and meet at barriers.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
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
  Team(int threads, int spin) : threads_(threads), spin_(spin), ranges_(threads) {
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

  // Which thread of the team calls, and where its own range of `share` begins; that of `threads()` ends the last one.
  static int index() { return index_; }
  int range_start(int thread, int count) const {
    return static_cast<int>(static_cast<int64_t>(count) * thread / threads_);
  }

  // Runs `job(thread)` on all threads; the calling one is thread 0. Returns when all have finished.
  void run(const std::function<void(int)>& job) {
    index_ = 0;
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

  // Calls `task(i)` for all i in [0, count) and waits for all of them. Each thread takes a range of its own, in order:
  // neighbouring tasks read neighbouring memory. Who is done takes from the ranges of the others.
  template <typename Task>
  void share(int count, const Task& task) {
    for (int turn = 0; turn < threads_; ++turn) {
      const int owner = (index_ + turn) % threads_;
      const int start = range_start(owner, count), size = range_start(owner + 1, count) - start;
      std::atomic<int>& taken = ranges_[owner].taken;
      for (int i = taken.fetch_add(1, std::memory_order_relaxed); i < size;
           i = taken.fetch_add(1, std::memory_order_relaxed)) {
        task(start + i);
      }
    }
    barrier();
  }

 private:
  void restart_ranges() {
    for (Range& range : ranges_) range.taken.store(0, std::memory_order_relaxed);
  }

  // The last one to arrive resets the counters of `share`, so that the next one starts at 0.
  void barrier() {
    if (threads_ == 1) return restart_ranges();
    const unsigned phase = phase_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) == threads_ - 1) {
      arrived_.store(0, std::memory_order_relaxed);
      restart_ranges();
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
    index_ = index;
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

  // Of the tasks of `share` that a thread begins with, how many are taken.
  struct alignas(64) Range {
    std::atomic<int> taken{0};
  };

  inline static thread_local int index_ = 0;  // of the thread in its team
  const int threads_;
  const int spin_;
  std::vector<Range> ranges_;
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  const std::function<void(int)>* job_ = nullptr;
  unsigned generation_ = 0;
  bool stopping_ = false;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<unsigned> phase_{0};
};

}  // namespace townsfolk
