#include "train/world.h"

#include <charconv>
#include <cstdlib>
#include <string>
#include <string_view>

#include "massact/base/error.h"

#if MASSACT_TRAIN_GLOO
#include <chrono>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#endif

namespace massact::train {
namespace {

class SingleWorld final : public World {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void average(at::Tensor) override {}
};

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  require(value != nullptr && *value != '\0', name,
          "expected this variable to be set (with RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT)");
  return value;
}

int integer_variable(const char* name, int low, int high) {
  const std::string text = variable(name);
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  require(error == std::errc() && end == text.data() + text.size() && value >= low && value <= high,
          name, "expected an integer in [{}, {}], got \"{}\"", low, high, text);
  return value;
}

#if MASSACT_TRAIN_GLOO

constexpr std::chrono::seconds kPatience{55};  // "within a minute"

class GlooWorld final : public World {
 public:
  GlooWorld(int rank, int size) : rank_(rank), size_(size) {
    const std::string address = variable("MASTER_ADDR");
    c10d::TCPStoreOptions store_options;
    store_options.port = static_cast<std::uint16_t>(integer_variable("MASTER_PORT", 1, 65535));
    store_options.isServer = rank == 0;
    store_options.numWorkers = size;
    store_options.timeout = kPatience;
    auto options = c10d::ProcessGroupGloo::Options::create(kPatience);
    try {
      const auto store = c10::make_intrusive<c10d::TCPStore>(address, store_options);
      options->devices.push_back(c10d::ProcessGroupGloo::createDefaultDevice());
      group_ = c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, size, options);
    } catch (const std::exception& error) {
      fail("distributed", "expected {} ranks to meet at {}:{}, got: {}", size, address,
           store_options.port, error.what());
    }
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void average(at::Tensor tensor) override {
    // gloo reduces CPU memory; gradients of a GPU travel through it.
    std::vector<at::Tensor> host{tensor.cpu()};
    try {
      group_->allreduce(host)->wait();
    } catch (const std::exception& error) {
      fail("distributed", "expected all {} ranks to go on, got on rank {}: {} (a rank died?)",
           size_, rank_, error.what());
    }
    tensor.copy_(host[0].div_(double(size_)));
  }

 private:
  int rank_;
  int size_;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group_;
};

#endif

}  // namespace

std::unique_ptr<World> join_world() {
  const char* set = std::getenv("WORLD_SIZE");
  if (set == nullptr || std::string_view(set) == "1") return std::make_unique<SingleWorld>();
  const int size = integer_variable("WORLD_SIZE", 1, 1 << 16);
  const int rank = integer_variable("RANK", 0, size - 1);
#if MASSACT_TRAIN_GLOO
  return std::make_unique<GlooWorld>(rank, size);
#else
  fail("WORLD_SIZE", "expected 1: this build found no c10d with gloo (rank {} of {})", rank, size);
#endif
}

}  // namespace massact::train
