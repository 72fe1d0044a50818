// Memory that is shared by what runs side by side, and held alone by what found too little beside the others.
#pragma once

#include <mutex>
#include <shared_mutex>

namespace t2v {

class MemoryGate {
 public:
  std::shared_lock<std::shared_mutex> beside() {
    const std::lock_guard turn(turn_);
    return std::shared_lock(memory_);
  }
  // Waits for those who are in, and lets nobody in meanwhile: std::shared_mutex alone may prefer newcomers.
  std::unique_lock<std::shared_mutex> alone() {
    const std::lock_guard turn(turn_);
    return std::unique_lock(memory_);
  }

 private:
  std::mutex turn_;
  std::shared_mutex memory_;
};

}  // namespace t2v
