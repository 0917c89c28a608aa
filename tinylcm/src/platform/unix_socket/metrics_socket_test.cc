#include "tinylcm/monitor/metrics_socket.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

namespace tinylcm::monitor {
namespace {

class MetricsSocketTest : public testing::Test {
 protected:
  MetricsSocketTest() {
    char name[] = "/tmp/metrics-socket-XXXXXX";
    folder_ = ::mkdtemp(name);
    path_ = folder_ + "/s";
  }
  ~MetricsSocketTest() override { std::filesystem::remove_all(folder_); }

  int Connect() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    const int client = ::socket(AF_UNIX, SOCK_STREAM, 0);
    EXPECT_EQ(::connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return client;
  }
  // A client connects and asks before the server looks, so nothing here waits.
  std::string Ask(MetricsSocket& socket, std::string_view request) {
    const int client = Connect();
    EXPECT_EQ(::send(client, request.data(), request.size(), 0),
              static_cast<ssize_t>(request.size()));
    socket.Serve([] { return std::string("tinylcm_frames_total 3\n"); });
    std::string answer;
    char part[256];
    for (ssize_t count; (count = ::recv(client, part, sizeof part, 0)) > 0;) {
      answer.append(part, static_cast<std::size_t>(count));
    }
    ::close(client);
    return answer;
  }

  std::string folder_;
  std::string path_;
};

TEST_F(MetricsSocketTest, AnswersAGetWithTheText) {
  const auto socket = OpenMetricsSocket(path_).value();
  EXPECT_EQ(Ask(*socket, "GET /metrics HTTP/1.1\r\nHost: device\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
            "Content-Length: 23\r\nConnection: close\r\n\r\ntinylcm_frames_total 3\n");
}

TEST_F(MetricsSocketTest, RefusesWhatIsNoGetAndHangsUpOnSilence) {
  const auto socket = OpenMetricsSocket(path_).value();
  EXPECT_TRUE(Ask(*socket, "POST / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
  EXPECT_EQ(Ask(*socket, "GET / without an end"), "");
}

TEST_F(MetricsSocketTest, NobodyElseMayOpenItAndItGoesWithItsOwner) {
  {
    const auto socket = OpenMetricsSocket(path_).value();
    struct stat there{};
    ASSERT_EQ(::stat(path_.c_str(), &there), 0);
    EXPECT_EQ(there.st_mode & 0777u, 0660u);
    EXPECT_EQ(OpenMetricsSocket(path_).error().message, path_ + ": somebody listens there already");
  }
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(MetricsSocketTest, ReplacesWhatAKilledAgentLeftButNothingElse) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path_.data(), path_.size());
  const int dead = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(dead, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ::close(dead);
  EXPECT_TRUE(OpenMetricsSocket(path_).ok());

  std::ofstream(path_) << "precious";
  EXPECT_EQ(OpenMetricsSocket(path_).error().message,
            path_ + ": something that is no socket lies there");
  EXPECT_EQ(std::filesystem::file_size(path_), 8u);
}

TEST_F(MetricsSocketTest, APathThatIsTooLongIsRefusedBeforeItIsCut) {
  EXPECT_FALSE(OpenMetricsSocket(folder_ + "/" + std::string(120, 'x')).ok());
}

}  // namespace
}  // namespace tinylcm::monitor
