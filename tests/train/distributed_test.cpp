// Two ranks on one machine, started as a cluster would start them.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "helpers.h"

namespace massact::train {
namespace {

namespace fs = std::filesystem;

/// A port that was free a moment ago.
int free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ::bind(fd, reinterpret_cast<sockaddr*>(&address), size);
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(fd);
  return ntohs(address.sin_port);
}

/// Starts massact-train as one rank; its messages go to `log`.
pid_t start_rank(int rank, int size, int port, std::vector<std::string> arguments,
                 const fs::path& log) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  ::setenv("RANK", std::to_string(rank).c_str(), 1);
  ::setenv("WORLD_SIZE", std::to_string(size).c_str(), 1);
  ::setenv("MASTER_ADDR", "127.0.0.1", 1);
  ::setenv("MASTER_PORT", std::to_string(port).c_str(), 1);
  if (std::freopen(log.c_str(), "w", stderr) == nullptr) ::_exit(126);
  arguments.insert(arguments.begin(), MASSACT_TRAIN_PROGRAM);
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

int exit_status(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

class Ranks : public testing::Test {
 protected:
  std::vector<std::string> arguments(const std::string& out, int batch, int steps) const {
    return {"run",
            "--data",
            data_.string(),
            "--out",
            folder_ / out,
            "--layers",
            "2",
            "--width",
            "16",
            "--heads",
            "4",
            "--kv-heads",
            "2",
            "--mlp",
            "20",
            "--context",
            "16",
            "--batch",
            std::to_string(batch),
            "--steps",
            std::to_string(steps),
            "--warmup",
            "3",
            "--threads",
            "1",
            "--eval-sequences",
            "4",
            "--checkpoint-interval",
            "1"};
  }

  /// Losses by step.
  std::vector<double> losses(const std::string& run) const {
    std::ifstream in(folder_ / run / "metrics.jsonl");
    std::vector<double> values;
    for (std::string line; std::getline(in, line);) {
      const auto record = nlohmann::json::parse(line);
      if (record["kind"] == "train") values.push_back(record["loss"].get<double>());
    }
    return values;
  }

  TemporaryFolder folder_;
  fs::path data_ = sample_data(folder_);
};

TEST_F(Ranks, TwoGiveTheLossesOfOneWithTwiceTheBatch) {
  const int port = free_port();
  const pid_t first = start_rank(0, 2, port, arguments("two", 2, 8), folder_ / "0.log");
  const pid_t second = start_rank(1, 2, port, arguments("two", 2, 8), folder_ / "1.log");
  ASSERT_EQ(exit_status(first), 0) << read_file(folder_ / "0.log");
  ASSERT_EQ(exit_status(second), 0) << read_file(folder_ / "1.log");
  const pid_t alone = start_rank(0, 1, port, arguments("one", 4, 8), folder_ / "alone.log");
  ASSERT_EQ(exit_status(alone), 0) << read_file(folder_ / "alone.log");
  const auto two = losses("two"), one = losses("one");
  ASSERT_EQ(one.size(), 8u);
  ASSERT_EQ(two.size(), 8u);
  for (std::size_t i = 0; i < one.size(); ++i) EXPECT_NEAR(two[i], one[i], 1e-4) << "step " << i;
  // Half of the batch alone would give something else.
  const pid_t half = start_rank(0, 1, port, arguments("half", 2, 8), folder_ / "half.log");
  ASSERT_EQ(exit_status(half), 0);
  EXPECT_GT(std::abs(losses("half")[0] - one[0]), 1e-3);
}

TEST_F(Ranks, IfOneDiesTheOtherSaysSoAndStops) {
  const int port = free_port();
  const int endless = 1000000;
  const pid_t first = start_rank(0, 2, port, arguments("run", 2, endless), folder_ / "0.log");
  const pid_t second = start_rank(1, 2, port, arguments("run", 2, endless), folder_ / "1.log");
  // Kill the second once both are training: the first checkpoint is there.
  while (!fs::exists(folder_ / "run" / "latest")) {
    ASSERT_EQ(::waitpid(first, nullptr, WNOHANG), 0) << read_file(folder_ / "0.log");
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  ::kill(second, SIGKILL);
  EXPECT_EQ(exit_status(second), 128 + SIGKILL);
  EXPECT_EQ(exit_status(first), 1);
  EXPECT_THAT(read_file(folder_ / "0.log"), testing::HasSubstr("a rank died"));
}

}  // namespace
}  // namespace massact::train
