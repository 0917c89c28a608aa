// What becomes of a package, and that only a signed statement says so.

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "base/file_system.h"
#include "protocol/http_signature.h"
#include "tests/server/server_fixture.h"

namespace tests {
namespace {

using base::Json;
using protocol::StatementKind;

// One entry of a tar archive (POSIX ustar), whatever its name: what no honest writer makes.
void AppendTarEntry(base::Bytes& tar, const std::string& name, base::ByteView content) {
  char header[512] = {};
  std::snprintf(header, 100, "%s", name.c_str());
  std::snprintf(header + 100, 8, "%07o", 0644u);
  std::snprintf(header + 108, 8, "%07o", 0u);
  std::snprintf(header + 116, 8, "%07o", 0u);
  std::snprintf(header + 124, 12, "%011o", static_cast<unsigned>(content.size()));
  std::snprintf(header + 136, 12, "%011o", 0u);
  header[156] = '0';
  std::memcpy(header + 257, "ustar\00000", 8);
  // The checksum is taken with its own field full of spaces.
  std::memset(header + 148, ' ', 8);
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  std::snprintf(header + 148, 8, "%06o", sum);
  tar.insert(tar.end(), header, header + 512);
  tar.insert(tar.end(), content.begin(), content.end());
  tar.resize((tar.size() + 511) / 512 * 512);
}

class Packages : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    device_ = MakeDevice("cam");
  }
  std::int64_t Stored() {
    return At(admin_->Get("/api/v1/packages/summary").json(), "stored").as_int();
  }
  void ExpectStatement(const Answer& answer, long status, StatementKind kind,
                       base::ByteView archive) {
    EXPECT_EQ(answer.status, status) << answer.body;
    const auto statement = answer.statement();
    ASSERT_TRUE(statement) << answer.body;
    EXPECT_EQ(statement->kind, kind) << answer.body;
    EXPECT_EQ(statement->device_id, device_->id());
    EXPECT_EQ(statement->sha256, base::Sha256Hex(archive));
    EXPECT_TRUE(protocol::VerifyStatement(*statement, server_key()).ok());
  }

  std::unique_ptr<Device> device_;
};

TEST_F(Packages, AreStoredOnceHoweverOftenTheyAreSent) {
  const base::Bytes archive = device_->MakePackage(1, "notes", {TextFile("a.json", "{}")});
  ExpectStatement(device_->Put(1, archive), 201, StatementKind::kStored, archive);
  ExpectStatement(device_->Put(1, archive), 200, StatementKind::kDuplicate, archive);
  EXPECT_EQ(Stored(), 1);
  const Json summary = admin_->Get("/api/v1/packages/summary").json();
  EXPECT_EQ(At(summary, "duplicates").as_int(), 1);
  EXPECT_EQ(At(summary, "by_device.0.epochs.0.count").as_int(), 1);
  EXPECT_EQ(At(summary, "by_device.0.epochs.0.seq_max").as_int(), 1);
}

TEST_F(Packages, ConflictWhenAnotherArchiveHasTheId) {
  const base::Bytes one = device_->MakePackage(1, "notes", {TextFile("a.json", "{}")});
  const base::Bytes other = device_->MakePackage(1, "notes", {TextFile("a.json", "[]")});
  EXPECT_EQ(device_->Put(1, one).status, 201);
  ExpectStatement(device_->Put(1, other), 409, StatementKind::kConflict, other);
  EXPECT_EQ(Stored(), 1);
}

// Whoever comes second may have kept its content before it learns so.
TEST_F(Packages, ThatComeSeveralWaysAtOnceAreKeptOnce) {
  constexpr std::uint64_t kRounds = 5;
  constexpr std::size_t kWays = 8;
  (void)device_->Send("GET", "/api/v1/packages/" + device_->PackageId(1) + "/status");  // A nonce.
  for (std::uint64_t seq = 1; seq <= kRounds; ++seq) {
    const std::string path = "/api/v1/packages/" + device_->PackageId(seq);
    std::array<long, kWays> status{};
    std::vector<std::thread> threads;
    for (std::size_t way = 0; way < kWays; ++way) {
      threads.emplace_back([&, way] {
        const base::Bytes archive =
            device_->MakePackage(seq, "notes", {TextFile("a.json", std::to_string(way))});
        const std::string_view body = base::AsText(archive);
        status[way] =
            Send("PUT", server_->url() + path, body,
                 device_->Sign("PUT", path, body, {{"content-type", "application/octet-stream"}}))
                .status;
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(std::count(status.begin(), status.end(), 201), 1);
    EXPECT_EQ(std::count(status.begin(), status.end(), 409),
              static_cast<std::ptrdiff_t>(kWays) - 1);
  }
  EXPECT_EQ(Stored(), static_cast<std::int64_t>(kRounds));
  std::uint64_t kept = 0;
  const std::string packs = server_->data() + "/objects/packs";
  const auto files = base::SystemFileSystem().List(packs);
  ASSERT_TRUE(files.ok()) << files.error().message;
  for (const base::FileInfo& file : *files) {
    const std::string pack =
        base::ReadTextFile(base::SystemFileSystem(), base::JoinPath(packs, file.name), 1u << 24)
            .value();
    const std::string begins = "packages/" + device_->id() + "/";
    for (std::size_t at = 0; (at = pack.find(begins, at)) != std::string::npos; ++at) kept += 1;
  }
  EXPECT_EQ(kept, kRounds);
}

TEST_F(Packages, GetTheSameAnswerToAReplayWithinTenMinutes) {
  const base::Bytes archive = device_->MakePackage(1, "notes", {TextFile("a.json", "{}")});
  const std::string path = "/api/v1/packages/" + device_->PackageId(1);
  (void)device_->Send("GET", path + "/status");  // Brings a nonce.
  const HeaderLines lines = device_->Sign("PUT", path, base::AsText(archive), {});
  ExpectStatement(Send("PUT", server_->url() + path, base::AsText(archive), lines), 201,
                  StatementKind::kStored, archive);
  ExpectStatement(Send("PUT", server_->url() + path, base::AsText(archive), lines), 200,
                  StatementKind::kDuplicate, archive);
  EXPECT_EQ(Stored(), 1);
}

TEST_F(Packages, OfAnUnknownTypeAreStoredAndShown) {
  EXPECT_EQ(device_->Deliver(1, "weather_report", {TextFile("a.json", "{}")}), "processed");
  const Json list = admin_->Get("/api/v1/packages?device=" + device_->id()).json();
  EXPECT_EQ(At(list, "items.0.type").as_string(), "weather_report");
  EXPECT_EQ(At(list, "items.0.state").as_string(), "processed");
}

TEST_F(Packages, WithAPathOutsideAreRefused) {
  const std::string manifest_text = [&] {
    protocol::PackageManifest manifest;
    manifest.name = {.device_id = device_->id(), .epoch = device_->epoch, .seq = 7};
    manifest.type = "notes";
    manifest.boot = "77ab77ab77ab77ab";
    manifest.agent_version = "0.1.0";
    return protocol::WritePackageManifest(manifest);
  }();
  const base::Ed25519Signature signature = protocol::SignManifest(
      protocol::kPackageSignaturePrefix, base::AsBytes(manifest_text), device_->key());
  base::Bytes tar;
  AppendTarEntry(tar, "manifest.json", base::AsBytes(manifest_text));
  AppendTarEntry(tar, "manifest.sig", signature);
  AppendTarEntry(tar, "../../etc/passwd", base::AsBytes("root::0:0"));
  tar.resize(tar.size() + 1024);
  const Answer answer = device_->Put(7, tar);
  ExpectStatement(answer, 422, StatementKind::kRefused, tar);
  EXPECT_FALSE(At(answer.json(), "error.message").as_string().empty());
  EXPECT_EQ(Stored(), 0);
}

TEST_F(Packages, SignedByAnotherKeyAreRefused) {
  Device stranger(*server_, server_key());
  protocol::PackageManifest manifest;
  manifest.name = {.device_id = device_->id(), .epoch = device_->epoch, .seq = 1};
  manifest.type = "notes";
  manifest.boot = "77ab77ab77ab77ab";
  manifest.agent_version = "0.1.0";
  const auto archive =
      protocol::BuildPackage(manifest, {}, stranger.key(), protocol::ArchiveFormat::kTarGz);
  ASSERT_TRUE(archive.ok());
  ExpectStatement(device_->Put(1, *archive), 422, StatementKind::kRefused, *archive);
}

TEST_F(Packages, DamagedOnTheWayGetNoStatement) {
  const base::Bytes archive = device_->MakePackage(1, "notes", {TextFile("a.json", "{}")});
  const std::string path = "/api/v1/packages/" + device_->PackageId(1);
  (void)device_->Send("GET", path + "/status");
  const HeaderLines lines = device_->Sign("PUT", path, base::AsText(archive), {});
  base::Bytes damaged = archive;
  damaged[20] ^= 1;
  const Answer answer = Send("PUT", server_->url() + path, base::AsText(damaged), lines);
  EXPECT_EQ(answer.status, 400);
  EXPECT_FALSE(answer.statement());
  EXPECT_EQ(Stored(), 0);
}

TEST_F(Packages, ThatCannotBeReadAreSetAsideWithTheReasonAndTriedAgainWhenAskedTo) {
  EXPECT_EQ(device_->Deliver(1, "drift_event", {TextFile("drift_event.json", "{\"format\":1}")}),
            "failed");
  const std::string path = "/api/v1/packages/" + device_->PackageId(1);
  const Json status = admin_->Get(path + "/status").json();
  EXPECT_NE(At(status, "error").as_string().find("drift_event"), std::string::npos);
  EXPECT_EQ(At(admin_->Get("/api/v1/overview").json(), "jobs.failed").as_int(), 1);
  EXPECT_EQ(admin_->Post(path + "/retry", {}).status, 200);
  EXPECT_TRUE(Eventually(
      [&] { return At(admin_->Get(path + "/status").json(), "state").as_string() == "failed"; }));
}

TEST_F(Packages, ArriveInPieces) {
  const base::Bytes archive =
      device_->MakePackage(1, "notes", {TextFile("a.json", std::string(5000, ' '))});
  const std::string_view whole = base::AsText(archive);
  const std::string path = "/api/v1/packages/" + device_->PackageId(1);
  const std::string announced =
      Json::MakeObject({{"bytes", archive.size()}, {"sha256", base::Sha256Hex(archive)}}).Write();
  const Answer created = device_->Send("POST", path, announced);
  ASSERT_EQ(created.status, 201) << created.body;
  EXPECT_EQ(created.headers.at("upload-offset"), "0");
  EXPECT_EQ(created.headers.at("location"), path + "/upload");

  const std::size_t half = whole.size() / 2;
  const Answer first = device_->Send("PATCH", path + "/upload", whole.substr(0, half),
                                     {{"upload-offset", "0"}, {"upload-complete", "?0"}});
  EXPECT_EQ(first.status, 204) << first.body;
  // The same piece again: its answer was lost.
  const Answer again = device_->Send("PATCH", path + "/upload", whole.substr(0, half),
                                     {{"upload-offset", "0"}, {"upload-complete", "?0"}});
  EXPECT_EQ(again.status, 409);
  EXPECT_FALSE(again.statement());
  EXPECT_EQ(again.headers.at("upload-offset"), std::to_string(half));
  EXPECT_EQ(device_->Send("HEAD", path + "/upload").headers.at("upload-offset"),
            std::to_string(half));

  const HeaderLines rest = {{"upload-offset", std::to_string(half)}, {"upload-complete", "?1"}};
  ExpectStatement(device_->Send("PATCH", path + "/upload", whole.substr(half), rest), 201,
                  StatementKind::kStored, archive);
  ExpectStatement(device_->Send("POST", path, announced), 200, StatementKind::kDuplicate, archive);
}

// Eight at a time: the ninth ends the oldest.
TEST_F(Packages, InPiecesAreBoundedInNumber) {
  const auto path = [&](std::uint64_t seq) {
    return "/api/v1/packages/" + device_->PackageId(seq);
  };
  const std::string announced =
      Json::MakeObject({{"bytes", 100}, {"sha256", std::string(64, 'a')}}).Write();
  for (std::uint64_t seq = 1; seq <= 9; ++seq) {
    EXPECT_EQ(device_->Send("POST", path(seq), announced).status, 201);
  }
  EXPECT_EQ(device_->Send("HEAD", path(1) + "/upload").status, 404);
  EXPECT_EQ(device_->Send("HEAD", path(2) + "/upload").status, 204);
  EXPECT_EQ(device_->Send("HEAD", path(9) + "/upload").status, 204);
}

TEST_F(Packages, ArriveAsMultipartToo) {
  const base::Bytes archive = device_->MakePackage(1, "notes", {TextFile("a.json", "{}")});
  const std::string body =
      "--frontier\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n"
      "{\"package_id\":\"" +
      device_->PackageId(1) +
      "\"}\r\n--frontier\r\nContent-Disposition: form-data; name=\"package\"; "
      "filename=\"p.tar.gz\"\r\nContent-Type: application/gzip\r\n\r\n" +
      std::string(base::AsText(archive)) + "\r\n--frontier--\r\n";
  const HeaderLines kind = {{"content-type", "multipart/form-data; boundary=frontier"}};
  ExpectStatement(device_->Send("POST", "/upload/package", body, kind), 201, StatementKind::kStored,
                  archive);
  ExpectStatement(device_->Send("POST", "/api/packages/upload", body, kind), 200,
                  StatementKind::kDuplicate, archive);
}

// The id of a multipart upload is not in the path, where control characters are turned away.
TEST_F(Packages, UnderAnIdThatIsNoneGetNoStatementAndDoNoHarm) {
  const base::Bytes archive = device_->MakePackage(1, "notes", {TextFile("a.json", "{}")});
  const HeaderLines kind = {{"content-type", "multipart/form-data; boundary=frontier"}};
  const auto upload = [&](const std::string& package_id) {
    const std::string body =
        "--frontier\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n" +
        Json::MakeObject({{"package_id", package_id}}).Write() +
        "\r\n--frontier\r\nContent-Disposition: form-data; name=\"package\"; "
        "filename=\"p.tar.gz\"\r\n\r\n" +
        std::string(base::AsText(archive)) + "\r\n--frontier--\r\n";
    return device_->Send("POST", "/upload/package", body, kind);
  };
  for (const std::string& id : {std::string("a\nb"), std::string("notes")}) {
    const Answer answer = upload(id);
    EXPECT_EQ(answer.status, 400) << answer.body;
    EXPECT_FALSE(answer.statement());
  }
  const Device other(*server_, server_key());
  const Answer answer = upload(other.PackageId(1));
  EXPECT_EQ(answer.status, 403) << answer.body;
  EXPECT_FALSE(answer.statement());
  EXPECT_EQ(device_->Put(1, archive).status, 201);
}

TEST_F(Packages, WithANumberTooLargeForARowAreSetAside) {
  const std::string samples =
      R"({"format":"tinylcm-samples/1","event_id":"ev-1","labels":["0"],"samples":[{"sample_id":)"
      R"("s-1","index":1,"prediction":"0","confidence":0.5,"neighbours":[],"reason":"typical",)"
      R"("cluster_mass":null,"feature":null,"media":"rows.csv#0"}],"reference_row_mean":null,)"
      R"("reference_row_sd":null})";
  EXPECT_EQ(device_->Deliver(1, "samples",
                             {TextFile("samples.json", samples),
                              TextFile("rows.csv", "sample_id,ch0\ns-1,1e300\n")}),
            "failed");
  const std::string path = "/api/v1/packages/" + device_->PackageId(1) + "/status";
  EXPECT_NE(At(admin_->Get(path).json(), "error").as_string().find("1e300"), std::string::npos);
}

TEST_F(Packages, ThatTheServerLostAreNamedWhenOffered) {
  EXPECT_EQ(device_->Put(1, device_->MakePackage(1, "notes", {})).status, 201);
  base::Json offered = base::Json::MakeArray();
  offered.Append(device_->PackageId(1));
  offered.Append(device_->PackageId(2));
  const Answer answer = device_->Send("POST", "/api/v1/packages/offer",
                                      Json::MakeObject({{"packages", offered}}).Write());
  EXPECT_EQ(At(answer.json(), "unknown").Write(), "[\"" + device_->PackageId(2) + "\"]");
}

}  // namespace
}  // namespace tests
