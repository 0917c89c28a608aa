#include "tests/server/server_fixture.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/file_system.h"
#include "base/text.h"
#include "protocol/enrolment.h"
#include "protocol/http_signature.h"
#include "protocol/identifiers.h"
#include "protocol/safetensors.h"
#include "tests/support/postgres.h"

namespace tests {

using base::Json;

namespace {

constexpr std::chrono::seconds kPatience{30};

std::string Lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return text;
}

std::size_t TakeBody(char* data, std::size_t size, std::size_t count, void* user) {
  static_cast<std::string*>(user)->append(data, size * count);
  return size * count;
}

std::size_t TakeHeader(char* data, std::size_t size, std::size_t count, void* user) {
  const std::string_view line(data, size * count);
  const std::size_t colon = line.find(':');
  if (colon != std::string_view::npos) {
    auto& headers = *static_cast<std::map<std::string, std::string>*>(user);
    headers[Lower(std::string(line.substr(0, colon)))] =
        std::string(base::Trim(line.substr(colon + 1)));
  }
  return size * count;
}

struct Child {
  pid_t pid = -1;
  int out = -1;
  int err = -1;
  int in = -1;
};

// On which database a test's data folder stands, where that is none of its own.
std::map<std::string, std::unique_ptr<PostgresDatabase>>& Databases() {
  static std::map<std::string, std::unique_ptr<PostgresDatabase>> databases;
  return databases;
}

// The arguments, and the database that goes with their data folder.
std::vector<std::string> WithDatabase(std::vector<std::string> arguments) {
  const auto data = std::find(arguments.begin(), arguments.end(), "--data");
  if (data == arguments.end() || data + 1 == arguments.end()) return arguments;
  const auto database = Databases().find(*(data + 1));
  if (database == Databases().end() ||
      std::find(arguments.begin(), arguments.end(), "--database") != arguments.end()) {
    return arguments;
  }
  arguments.insert(data + 2, {"--database", database->second->url()});
  return arguments;
}

Child Launch(const std::vector<std::string>& given, bool keeps_err) {
  const std::vector<std::string> arguments = WithDatabase(given);
  int in[2];
  int out[2];
  int err[2];
  EXPECT_EQ(pipe(in), 0);
  EXPECT_EQ(pipe(out), 0);
  EXPECT_EQ(pipe(err), 0);
  std::vector<const char*> argv = {TINYSPHERE_BINARY};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  argv.push_back(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // A test that dies must not leave its server.
    dup2(in[0], 0);
    dup2(out[1], 1);
    if (keeps_err) dup2(err[1], 2);
    for (const int fd : {in[0], in[1], out[0], out[1], err[0], err[1]}) close(fd);
    execv(argv[0], const_cast<char* const*>(argv.data()));
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  close(err[1]);
  if (!keeps_err) close(err[0]);
  return {.pid = pid, .out = out[0], .err = keeps_err ? err[0] : -1, .in = in[1]};
}

std::string ReadAll(int fd) {
  std::string text;
  char block[4096];
  for (ssize_t count; (count = read(fd, block, sizeof block)) > 0;) {
    text.append(block, static_cast<std::size_t>(count));
  }
  close(fd);
  return text;
}

// One line, within patience; "" if none came.
std::string ReadLine(int fd) {
  std::string line;
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < end) {
    pollfd one{.fd = fd, .events = POLLIN, .revents = 0};
    if (poll(&one, 1, 100) <= 0) continue;
    char c = 0;
    if (read(fd, &c, 1) != 1) return "";
    if (c == '\n') return line;
    line += c;
  }
  return "";
}

}  // namespace

Json Answer::json() const {
  auto parsed = Json::Parse(body);
  EXPECT_TRUE(parsed.ok()) << status << " " << body;
  return parsed.ok() ? *parsed : Json();
}

std::optional<protocol::Statement> Answer::statement() const {
  auto parsed = protocol::ParseStatement(body);
  if (!parsed.ok()) return std::nullopt;
  return *parsed;
}

Answer Send(const std::string& method, const std::string& url, std::string_view body,
            const HeaderLines& headers) {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_ALL);
  EXPECT_EQ(ready, CURLE_OK);
  Answer answer;
  CURL* curl = curl_easy_init();
  curl_slist* lines = curl_slist_append(nullptr, "Expect:");
  for (const auto& [name, value] : headers) {
    lines = curl_slist_append(lines, (value.empty() ? name + ";" : name + ": " + value).c_str());
  }
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, lines);
  curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
  // Self-signed, on loopback; that devices pin it is tested where they do.
  curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
  curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT, 20L);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, TakeBody);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer.body);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, TakeHeader);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &answer.headers);
  if (method == "HEAD") {
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  } else {
    if (!body.empty() || method == "POST") {
      curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.data());
      curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method.c_str());
  }
  if (curl_easy_perform(curl) == CURLE_OK) {
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer.status);
  }
  curl_slist_free_all(lines);
  curl_easy_cleanup(curl);
  return answer;
}

ProgramResult RunTinysphere(const std::vector<std::string>& arguments, std::string_view input) {
  const Child child = Launch(arguments, /*keeps_err=*/true);
  EXPECT_EQ(write(child.in, input.data(), input.size()), static_cast<ssize_t>(input.size()));
  close(child.in);
  ProgramResult result;
  // What it says fits into the pipes, so one may be read after the other.
  result.out = ReadAll(child.out);
  result.err = ReadAll(child.err);
  int status = 0;
  waitpid(child.pid, &status, 0);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return result;
}

bool Eventually(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < end) {
    if (condition()) return true;
    std::this_thread::yield();
  }
  return condition();
}

Json At(const Json& json, std::string_view path) {
  Json here = json;
  for (const std::string_view part : base::Split(path, '.')) {
    const auto index = base::ParseInt(part);
    if (here.is_array() && index.ok() &&
        static_cast<std::size_t>(*index) < here.as_array().size()) {
      here = Json(here.as_array()[static_cast<std::size_t>(*index)]);
    } else if (const Json* member = here.Find(part)) {
      here = Json(*member);
    } else {
      ADD_FAILURE() << "nothing at " << path << " (" << part << ") in " << json.Write();
      return {};
    }
  }
  return here;
}

void Server::Start(const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {
      "serve", "--data", data_, "--listen", listen_, "--tls-self-signed", "--poll", "1s"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const Child child = Launch(arguments, /*keeps_err=*/false);
  close(child.in);
  pid_ = child.pid;
  const std::string line = ReadLine(child.out);
  close(child.out);
  ASSERT_TRUE(line.starts_with("ready https://")) << "\"" << line << "\"";
  url_ = line.substr(6);
  listen_ = url_.substr(8);  // The same port after a restart.
}

void Server::Kill() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

int Server::Terminate() {
  kill(pid_, SIGTERM);
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Device::Device(const Server& server, base::Ed25519PublicKey server_key)
    : server_(&server),
      server_key_(server_key),
      key_(base::Ed25519Key::Generate()),
      id_(protocol::DeviceIdOf(key_.public_key())) {}

HeaderLines Device::Sign(const std::string& method, const std::string& path, std::string_view body,
                         HeaderLines headers) const {
  if (!body.empty()) {
    headers.emplace_back("content-digest",
                         protocol::WriteContentDigest(base::Sha256Of(base::AsBytes(body))));
  }
  headers.emplace_back("tlcm-audience", base::Fingerprint(server_key_));
  headers.emplace_back("tlcm-nonce", nonce);
  protocol::HttpRequestHead head;
  head.method = method;
  const std::size_t mark = path.find('?');
  head.path = path.substr(0, mark);
  if (mark != std::string::npos) head.query = path.substr(mark + 1);
  head.headers = headers;
  const protocol::SignatureHeaders signature = protocol::SignRequest(head, id_, key_);
  headers.emplace_back("signature-input", signature.signature_input);
  headers.emplace_back("signature", signature.signature);
  return headers;
}

Answer Device::Send(const std::string& method, const std::string& path, std::string_view body,
                    HeaderLines headers) {
  Answer answer;
  for (int tries = 0; tries < 2; ++tries) {
    answer = tests::Send(method, server_->url() + path, body, Sign(method, path, body, headers));
    const auto renewed = answer.headers.find("tlcm-nonce");
    if (renewed != answer.headers.end()) nonce = renewed->second;
    if (answer.status != 401 || answer.statement()) break;
  }
  return answer;
}

Answer Device::Enrol(const std::optional<std::string>& token_secret, const std::string& name) {
  const protocol::EnrolRequest request{.public_key = key_.public_key(),
                                       .token = token_secret,
                                       .name = name,
                                       .agent_version = "0.1.0"};
  return Send("POST", "/api/v1/devices/enroll", protocol::ToJson(request).Write(),
              {{"content-type", "application/json"}});
}

std::string Device::PackageId(std::uint64_t seq) const {
  return protocol::PackageName{.device_id = id_, .epoch = epoch, .seq = seq}.id();
}

base::Bytes Device::MakePackage(std::uint64_t seq, const std::string& type,
                                const std::vector<protocol::PackageFile>& files,
                                const std::string& bundle) const {
  protocol::PackageManifest manifest;
  manifest.name = {.device_id = id_, .epoch = epoch, .seq = seq};
  manifest.type = type;
  manifest.created_at = base::ParseTime("2026-11-20T12:00:00.000Z").value();
  manifest.clock_trusted = false;
  manifest.boot = "77ab77ab77ab77ab";
  manifest.uptime_ms = 1000;
  manifest.agent_version = "0.1.0";
  manifest.bundle = bundle;
  auto built = protocol::BuildPackage(manifest, files, key_, protocol::ArchiveFormat::kTarGz);
  EXPECT_TRUE(built.ok());
  return std::move(built).value();
}

Answer Device::Put(std::uint64_t seq, base::ByteView archive) {
  return Send("PUT", "/api/v1/packages/" + PackageId(seq), base::AsText(archive),
              {{"content-type", "application/octet-stream"}});
}

std::string Device::Deliver(std::uint64_t seq, const std::string& type,
                            const std::vector<protocol::PackageFile>& files,
                            const std::string& bundle) {
  const Answer answer = Put(seq, MakePackage(seq, type, files, bundle));
  EXPECT_EQ(answer.status, 201) << answer.body;
  std::string state;
  EXPECT_TRUE(Eventually([&] {
    state = At(Send("GET", "/api/v1/packages/" + PackageId(seq) + "/status").json(), "state")
                .as_string();
    return state != "stored";
  }));
  return state;
}

Answer Person::Send(const std::string& method, const std::string& path,
                    std::string_view body) const {
  return tests::Send(method, server_.url() + path, body,
                     {{"authorization", "Bearer " + token_}, {"content-type", "application/json"}});
}

void ServerTest::SetUp() {
  const char* const on = std::getenv("TINYSPHERE_SERVER_TEST_ON");
  const bool is_on_postgres = on != nullptr && std::string_view(on) == "postgres";
  std::unique_ptr<PostgresDatabase> database;
  if (is_on_postgres) {
    database = PostgresDatabase::Make();
    if (!database) GTEST_SKIP() << kNoPostgres;
  }
  std::string pattern =
      (std::filesystem::temp_directory_path() / "tinysphere-test-XXXXXX").string();
  ASSERT_NE(mkdtemp(pattern.data()), nullptr);
  folder_ = pattern;
  std::ofstream(folder_ + "/publisher.pub") << base::WritePublicKeyText(publisher_.public_key());
  server_ = std::make_unique<Server>(folder_ + "/data");
  if (database) Databases()[server_->data()] = std::move(database);
  server_->Start();
  admin_ = std::make_unique<Person>(MakePerson("admin"));
}

void ServerTest::TearDown() {
  if (server_) {
    const std::string data = server_->data();
    server_.reset();
    Databases().erase(data);
  }
  if (!HasFailure()) std::filesystem::remove_all(folder_);
}

std::string ServerTest::MakeToken() {
  const ProgramResult made =
      RunTinysphere({"token", "create", "--data", server_->data(), "--kind", "enroll",
                     "--publisher-key", folder_ + "/publisher.pub", "--ttl", "1h"});
  EXPECT_EQ(made.exit_code, 0) << made.err;
  return std::string(base::Trim(made.out));
}

Person ServerTest::MakePerson(const std::string& role) {
  const ProgramResult made = RunTinysphere({"token", "create", "--data", server_->data(), "--kind",
                                            "api", "--name", role, "--role", role});
  EXPECT_EQ(made.exit_code, 0) << made.err;
  return Person(*server_, std::string(base::Trim(made.out)));
}

base::Ed25519PublicKey ServerTest::server_key() const {
  const auto text =
      base::ReadTextFile(base::SystemFileSystem(), server_->data() + "/keys/server.pub", 4096);
  EXPECT_TRUE(text.ok());
  return base::ParsePublicKeyText(*text).value();
}

std::unique_ptr<Device> ServerTest::MakeDevice(const std::string& name) {
  auto device = std::make_unique<Device>(*server_, server_key());
  const auto token = protocol::ParseEnrolmentToken(MakeToken());
  EXPECT_TRUE(token.ok());
  const Answer answer = device->Enrol(token->secret, name);
  EXPECT_EQ(answer.status, 200) << answer.body;
  return device;
}

TestBundle MakeBundle(const std::string& version, const base::Ed25519Key& key) {
  protocol::Safetensors reference;
  reference.Add<float>("channel_mean", {4}, std::vector<float>{0.5F, 0.25F, 1.0F, 2.0F});
  reference.Add<float>("channel_sd", {4}, std::vector<float>{0.5F, 0.5F, 0.5F, 0.25F});
  const base::Bytes bytes = reference.Write();
  protocol::BundleManifest manifest;
  manifest.name = "digits";
  manifest.version = version;
  manifest.model_family = "digits-sensor";
  manifest.min_agent = "0.1.0";
  manifest.input.kind = protocol::BundleInput::Kind::kRow;
  manifest.input.channel_count = 4;
  manifest.labels = {"0", "1", "2"};
  manifest.licence = "Apache-2.0";
  manifest.files = {{.path = "reference.safetensors",
                     .bytes = bytes.size(),
                     .sha256 = base::Sha256Hex(bytes),
                     .media_type = "",
                     .role = std::string(protocol::kRoleReference)}};
  const std::string text = protocol::WriteBundleManifest(manifest);
  const std::vector<protocol::ArchiveFile> files = {{"reference.safetensors", bytes}};
  auto archive = protocol::WriteSignedArchive(protocol::ArchiveFormat::kTarZst,
                                              protocol::kBundleSignaturePrefix, text, key, files);
  EXPECT_TRUE(archive.ok());
  return {.archive = std::move(archive).value(),
          .bundle = protocol::BundleIdOf(base::AsBytes(text))};
}

protocol::PackageFile TextFile(const std::string& path, const std::string& text) {
  return {.path = path, .media_type = "application/json", .bytes = base::ToBytes(text)};
}

}  // namespace tests
