// What packages become: parts of the log, pictures, sketches, hours of figures, link intervals; how
// far each is; and that a device's data can be deleted whole.

#include <filesystem>

#include "base/text.h"
#include "protocol/sketches.h"
#include "tests/server/server_fixture.h"

namespace tests {
namespace {

using base::Json;

class Series : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    device_ = MakeDevice("cam");
    path_ = "/api/v1/devices/" + device_->id();
  }
  Json Get(const std::string& path) {
    const Answer answer = admin_->Get(path);
    EXPECT_EQ(answer.status, 200) << path << ": " << answer.body;
    return answer.json();
  }
  // Objects below DATA whose path holds `part`; the spool and what is being written aside.
  std::vector<std::string> Objects(const std::string& part) {
    std::vector<std::string> found;
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(server_->data() + "/objects")) {
      const std::string path = entry.path().string();
      if (entry.is_regular_file() && path.find(part) != std::string::npos) found.push_back(path);
    }
    return found;
  }
  void DeliverPictures(std::uint64_t seq) {
    const std::string lines =
        R"({"at":"2026-11-20T12:00:00.127Z","index":7,"prediction":"black cat","confidence":0.25,)"
        R"("distance":0.4})"
        "\n"
        R"({"at":"2026-11-20T12:00:01.000Z","index":8,"prediction":"dog","confidence":0.75,)"
        R"("distance":0.1})"
        "\n";
    EXPECT_EQ(device_->Deliver(seq, "prediction_images",
                               {TextFile("predictions.jsonl", lines),
                                TextFile("images/000000000007_drift.jpg", "seven"),
                                TextFile("images/000000000008_every.jpg", "eight")}),
              "processed");
  }
  void DeliverLog(std::uint64_t seq) {
    EXPECT_EQ(
        device_->Deliver(seq, "operational_logs",
                         {TextFile("events.jsonl",
                                   "{\"at\":\"2026-11-20T11:00:00.000Z\",\"kind\":\"a\"}\nplain\n"
                                   "{\"at\":\"2026-11-20T12:00:00.000Z\",\"kind\":\"b\"}\n")}),
        "processed");
  }

  std::unique_ptr<Device> device_;
  std::string path_;
};

TEST_F(Series, OfTheLogAreListedReadAndTailed) {
  DeliverLog(1);
  const Json list = Get(path_ + "/logs");
  EXPECT_EQ(At(list, "items.0.lines").as_int(), 3);
  EXPECT_EQ(At(list, "items.0.first_at").as_string(), "2026-11-20T11:00:00.000Z");
  EXPECT_EQ(At(list, "items.0.last_at").as_string(), "2026-11-20T12:00:00.000Z");
  const std::string boot = At(list, "items.0.boot").as_string();
  const Answer part = admin_->Get(path_ + "/logs/" + boot + "/1");
  EXPECT_EQ(part.status, 200);
  EXPECT_NE(part.body.find("\nplain\n"), std::string::npos);
  const Json tail = Get(path_ + "/logs/tail?limit=2");
  EXPECT_EQ(At(tail, "lines").as_array().size(), 2u);
  EXPECT_EQ(At(tail, "lines.0").as_string(), "plain");
  EXPECT_EQ(At(tail, "lines.1.kind").as_string(), "b");
}

TEST_F(Series, OfPicturesAreFoundByWhatWasSaidOfThem) {
  DeliverPictures(1);
  EXPECT_EQ(At(Get(path_ + "/images"), "items").as_array().size(), 2u);
  const Json cats = Get(path_ + "/images?label=black%20cat");
  ASSERT_EQ(At(cats, "items").as_array().size(), 1u);
  EXPECT_EQ(At(cats, "items.0.index").as_int(), 7);
  EXPECT_EQ(At(cats, "items.0.reason").as_string(), "drift");
  EXPECT_EQ(At(Get(path_ + "/images?confidence_below=0.5"), "items").as_array().size(), 1u);
  const std::string id = At(cats, "items.0.sample_id").as_string();
  EXPECT_EQ(admin_->Get(path_ + "/images/" + id).body, "seven");
  EXPECT_EQ(admin_->Get(path_ + "/images/nothing").status, 404);
}

TEST_F(Series, OfSketchesAddUpToADay) {
  protocol::Sketches sketches;
  sketches.bundle = std::string(64, 'a');
  sketches.first_index = 1;
  sketches.last_index = 7;
  sketches.samples = {3, 4};
  sketches.ranks = {{"margin", {{1, 2}, {4, 0}}}};
  sketches.dims = 1;
  sketches.feature_mean = {0.5f, 0.25f};
  sketches.feature_m2 = {0.0f, 0.0f};
  const protocol::PackageFile file{"sketches.safetensors", "application/octet-stream",
                                   protocol::WriteSketches(sketches)};
  EXPECT_EQ(device_->Deliver(1, "sketches", {file}), "processed");
  EXPECT_EQ(device_->Deliver(2, "sketches", {file}), "processed");
  EXPECT_EQ(At(Get(path_ + "/sketches?period=package"), "items").as_array().size(), 2u);
  const Json days = Get(path_ + "/sketches");
  // Midnight may have come between the two.
  std::int64_t samples = 0;
  const Json items = At(days, "items");
  for (const Json& day : items.as_array()) samples += At(day, "samples").as_int();
  EXPECT_EQ(samples, 2 * (3 + 4));
}

TEST_F(Series, OfADevicesLinkBeginWithItsFirstWord) {
  DeliverLog(1);
  const Json links = Get(path_ + "/links");
  const Json::Array intervals = At(links, "intervals").as_array();
  ASSERT_FALSE(intervals.empty());
  EXPECT_EQ(At(intervals.back(), "state").as_string(), "online");
  EXPECT_TRUE(At(intervals.back(), "until").is_null());
  EXPECT_GT(At(intervals.back(), "requests").as_int(), 0);
  EXPECT_EQ(admin_->Get("/api/v1/devices/d-nobody/links").status, 404);
}

TEST_F(Series, ShowHowFarAPackageIs) {
  DeliverLog(1);
  const Json progress = Get("/api/v1/packages/" + device_->PackageId(1) + "/progress");
  EXPECT_EQ(At(progress, "state").as_string(), "processed");
  ASSERT_EQ(At(progress, "steps").as_array().size(), 4u);
  const Json steps = At(progress, "steps");
  for (const Json& step : steps.as_array()) {
    EXPECT_EQ(At(step, "state").as_string(), "done") << step.Write();
  }
}

TEST_F(Series, DriveEverythingThatWasSetAsideAgain) {
  EXPECT_EQ(device_->Deliver(1, "drift_event", {TextFile("drift_event.json", "{}")}), "failed");
  const Json progress = Get("/api/v1/packages/" + device_->PackageId(1) + "/progress");
  EXPECT_EQ(At(progress, "steps.1.state").as_string(), "failed") << progress.Write();
  const Answer viewer = MakePerson("viewer").Post("/api/v1/packages/retry-failed", {});
  EXPECT_EQ(viewer.status, 403);
  const Answer retried = admin_->Post("/api/v1/packages/retry-failed", {});
  EXPECT_EQ(At(retried.json(), "retried").as_int(), 1);
  EXPECT_TRUE(Eventually([&] {
    return At(Get("/api/v1/packages/" + device_->PackageId(1) + "/status"), "state").as_string() ==
           "failed";
  }));
}

TEST_F(Series, OfAnErasedDeviceAreGone) {
  DeliverLog(1);
  DeliverPictures(2);
  const auto other = MakeDevice("other");
  EXPECT_EQ(other->Deliver(1, "operational_logs", {TextFile("events.jsonl", "{}\n")}), "processed");
  EXPECT_FALSE(Objects(device_->id()).empty());
  EXPECT_EQ(MakePerson("operator").Send("DELETE", path_ + "/data", "").status, 403);
  EXPECT_EQ(admin_->Send("DELETE", "/api/v1/devices/d-nobody/data", "").status, 404);
  EXPECT_EQ(admin_->Send("DELETE", path_ + "/data", "").status, 202);
  EXPECT_TRUE(
      Eventually([&] { return At(Get(path_ + "/erasure"), "state").as_string() == "done"; }));
  EXPECT_TRUE(Objects(device_->id()).empty());
  EXPECT_TRUE(At(Get(path_ + "/logs"), "items").as_array().empty());
  EXPECT_TRUE(At(Get(path_ + "/images"), "items").as_array().empty());
  EXPECT_TRUE(At(Get("/api/v1/packages?device=" + device_->id()), "items").as_array().empty());
  EXPECT_EQ(At(Get(path_), "name").as_string(), "cam");
  EXPECT_EQ(At(Get("/api/v1/devices/" + other->id() + "/logs"), "items").as_array().size(), 1u);
  // The verb does the same; once more does no harm.
  const ProgramResult again =
      RunTinysphere({"device", "erase", device_->id(), "--data", server_->data()});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(RunTinysphere({"device", "erase", "d-nobody", "--data", server_->data()}).exit_code, 1);
}

}  // namespace
}  // namespace tests
