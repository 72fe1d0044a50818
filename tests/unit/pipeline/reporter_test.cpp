#include "pipeline/run/reporter.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "errors.h"

namespace t2v {
namespace {

constexpr auto patience = std::chrono::minutes(1);  // after which a wait is taken for a deadlock

// Blocks in clip_started until it may go on.
struct Receiver : Observer {
  void clip_started(std::size_t, std::size_t) override { wait(); }
  void wait() {
    begun.set_value();
    went_on = released.get_future().wait_for(patience) == std::future_status::ready;
  }
  std::promise<void> begun, released;
  bool went_on = false;
};

TEST(Reporter, DenoisingGoesOnWhileAClipIsReceived) {
  for (const bool starts : {false, true}) {
    Receiver receiver;
    const std::function<void(const ClipOutcome&)> finished = [&](const ClipOutcome&) { receiver.wait(); };
    Reporter reporter(receiver, finished, 10);
    std::thread writer([&] { starts ? reporter.clip_started(0, 0) : reporter.finished({}); });
    receiver.begun.get_future().wait();
    std::thread denoising([&] {
      reporter.check_cancelled();
      reporter.count_steps(1);
      reporter.note("a step");
      receiver.released.set_value();
    });
    writer.join();
    denoising.join();
    EXPECT_TRUE(receiver.went_on) << (starts ? "clip_started" : "finished");
  }
}

TEST(Reporter, ReceivesOneClipAtATime) {
  Observer observer;
  std::atomic<int> inside{0}, received{0};
  const std::function<void(const ClipOutcome&)> finished = [&](const ClipOutcome&) {
    EXPECT_EQ(++inside, 1);
    std::this_thread::yield();
    --inside;
    ++received;
  };
  Reporter reporter(observer, finished, 0);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int clip = 0; clip < 200; ++clip) reporter.finished({});
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(received, 800);
}

TEST(Reporter, WhatTheReceiverThrowsStopsEveryThread) {
  Observer observer;
  int received = 0;
  const std::function<void(const ClipOutcome&)> finished = [&](const ClipOutcome&) {
    ++received;
    throw Error(ErrorKind::output, "no room");
  };
  Reporter reporter(observer, finished, 0);
  test::expect_error(ErrorKind::output, {"no room"}, [&] { reporter.finished({}); });
  EXPECT_TRUE(reporter.stopped());
  std::thread([&] {
    test::expect_error(ErrorKind::output, {"no room"}, [&] { reporter.check_cancelled(); });
  }).join();
  reporter.finished({});
  EXPECT_EQ(received, 1);
  test::expect_error(ErrorKind::output, {"no room"}, [&] { reporter.rethrow_reason(); });
}

}  // namespace
}  // namespace t2v
