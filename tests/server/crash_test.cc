// kill -9 in the middle of uploads: what was acknowledged is there, and nothing is there twice.

#include <atomic>
#include <mutex>
#include <set>
#include <thread>

#include "base/random.h"
#include "tests/server/server_fixture.h"

namespace tests {
namespace {

class Crash : public ServerTest {};

TEST_F(Crash, LosesNoAcknowledgedPackageAndKeepsNoneTwice) {
  constexpr std::uint64_t kSeed = 20261121;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  base::Random random(kSeed);
  constexpr int kDevices = 3;
  constexpr std::uint64_t kRounds = 3;

  std::vector<std::unique_ptr<Device>> devices;
  for (int i = 0; i < kDevices; ++i) devices.push_back(MakeDevice("d" + std::to_string(i)));
  std::mutex mutex;
  std::set<std::string> acknowledged;
  std::vector<std::uint64_t> made(kDevices, 0);  // The highest seq each device has used.

  for (std::uint64_t round = 0; round < kRounds; ++round) {
    const std::size_t kill_after = acknowledged.size() + 5 + random.Below(20);
    std::atomic<bool> is_dead{false};
    std::vector<std::thread> threads;
    for (int i = 0; i < kDevices; ++i) {
      threads.emplace_back([&, i] {
        Device& device = *devices[static_cast<std::size_t>(i)];
        while (!is_dead) {
          const std::uint64_t seq = ++made[static_cast<std::size_t>(i)];
          const Answer answer = device.Put(
              seq, device.MakePackage(seq, "notes", {TextFile("n.json", std::to_string(seq))}));
          if (answer.status == 0) return;
          const auto statement = answer.statement();
          if (!statement) continue;
          const std::lock_guard lock(mutex);
          acknowledged.insert(statement->subject);
        }
      });
    }
    EXPECT_TRUE(Eventually([&] {
      const std::lock_guard lock(mutex);
      return acknowledged.size() >= kill_after;
    }));
    server_->Kill();
    is_dead = true;
    for (std::thread& thread : threads) thread.join();
    server_->Start();

    const base::Json summary = admin_->Get("/api/v1/packages/summary").json();
    for (int i = 0; i < kDevices; ++i) {
      const Device& device = *devices[static_cast<std::size_t>(i)];
      for (std::uint64_t seq = 1; seq <= made[static_cast<std::size_t>(i)]; ++seq) {
        if (!acknowledged.contains(device.PackageId(seq))) continue;
        const Answer status = admin_->Get("/api/v1/packages/" + device.PackageId(seq) + "/status");
        EXPECT_EQ(status.status, 200) << device.PackageId(seq);
      }
    }
    EXPECT_GE(At(summary, "stored").as_int(), static_cast<std::int64_t>(acknowledged.size()));
  }

  // Every device sends everything once more: each is stored or was already, and all are processed.
  std::uint64_t total = 0;
  for (int i = 0; i < kDevices; ++i) {
    Device& device = *devices[static_cast<std::size_t>(i)];
    for (std::uint64_t seq = 1; seq <= made[static_cast<std::size_t>(i)]; ++seq) {
      const Answer answer = device.Put(
          seq, device.MakePackage(seq, "notes", {TextFile("n.json", std::to_string(seq))}));
      ASSERT_TRUE(answer.status == 200 || answer.status == 201) << answer.body;
      total += 1;
    }
  }
  EXPECT_TRUE(Eventually(
      [&] { return At(admin_->Get("/api/v1/overview").json(), "jobs.waiting").as_int() == 0; }));
  const base::Json summary = admin_->Get("/api/v1/packages/summary").json();
  EXPECT_EQ(At(summary, "stored").as_int(), static_cast<std::int64_t>(total));
  EXPECT_EQ(At(admin_->Get("/api/v1/overview").json(), "jobs.failed").as_int(), 0);
}

}  // namespace
}  // namespace tests
