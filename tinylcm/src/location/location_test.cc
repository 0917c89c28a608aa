#include "tinylcm/location/location.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/text.h"

namespace tinylcm::location {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const std::string kFix =
    "{\"class\":\"TPV\",\"device\":\"/dev/ttyS0\",\"mode\":3,\"lat\":52.52,\"lon\":13.405,"
    "\"epx\":3.0,\"epy\":4.0}\n";

TEST(ConfiguredPlace, IsWhereAPersonSaysItIsAndHasNoAge) {
  const auto locator = MakeConfiguredPlace(-33.9, 151.2, 20.0).value();
  const auto place = locator->Where(seconds(1'000'000));
  ASSERT_TRUE(place);
  EXPECT_EQ(*place, (Place{-33.9, 151.2, 20.0, 0, "configured"}));
}

TEST(ConfiguredPlace, MustBeOnEarth) {
  EXPECT_FALSE(MakeConfiguredPlace(90.1, 0.0, std::nullopt).ok());
  EXPECT_FALSE(MakeConfiguredPlace(0.0, -180.1, std::nullopt).ok());
  EXPECT_FALSE(MakeConfiguredPlace(0.0, 0.0, -1.0).ok());
}

TEST(GpsdFeed, AFixHasItsAccuracyAndItsAgeAndIsNothingOnceItIsStale) {
  GpsdFeed feed;
  EXPECT_EQ(feed.Where(seconds(0)), std::nullopt) << "no place before the first";
  feed.Take(kFix, seconds(10));
  // 3 m east and 4 m north: 5 m.
  EXPECT_EQ(feed.Where(milliseconds(10'250)), (Place{52.52, 13.405, 5.0, 250, "gpsd"}));
  EXPECT_TRUE(feed.Where(seconds(70)));
  EXPECT_EQ(feed.Where(milliseconds(70'001)), std::nullopt);
}

TEST(GpsdFeed, AReceiverThatLostItsFixHasNoPlace) {
  GpsdFeed feed;
  feed.Take(kFix, seconds(0));
  feed.Take("{\"class\":\"TPV\",\"mode\":1}\n", seconds(1));
  EXPECT_EQ(feed.Where(seconds(1)), std::nullopt);
}

TEST(GpsdFeed, LinesMayComeInAnyPieces) {
  const std::string lines = "{\"class\":\"VERSION\",\"release\":\"3.22\"}\r\n" + kFix;
  for (std::size_t cut = 0; cut <= lines.size(); ++cut) {
    GpsdFeed feed;
    feed.Take(lines.substr(0, cut), seconds(0));
    feed.Take(lines.substr(cut), seconds(0));
    ASSERT_TRUE(feed.Where(seconds(0))) << "cut at " << cut;
    EXPECT_EQ(feed.bad_lines(), 0u);
  }
}

TEST(GpsdFeed, GarbageIsCountedAndInventsNoPlace) {
  GpsdFeed feed;
  const std::string nowhere = "{\"class\":\"TPV\",\"mode\":3,\"lat\":91,\"lon\":0}\n";
  const std::vector<std::string> bad = {"no json\n",
                                        "{\"class\":7}\n",
                                        "[]\n",
                                        nowhere,
                                        "{\"class\":\"TPV\",\"lat\":1,\"lon\":1}\n",
                                        "{\"class\":\"TPV\",\"mode\":3,\"lat\":1,\"lon\n",
                                        std::string(GpsdFeed::kLineBytesMax + 1, 'x') + "\n"};
  for (const std::string& line : bad) feed.Take(line, seconds(0));
  EXPECT_EQ(feed.Where(seconds(0)), std::nullopt);
  EXPECT_EQ(feed.bad_lines(), bad.size());
  feed.Take(kFix, seconds(1));
  EXPECT_TRUE(feed.Where(seconds(1))) << "the next good line counts again";
  feed.Take("{\"class\":\"TPV\",\"mode\":3,\"lat\":null,\"lon\":\"x\"}\n", seconds(2));
  EXPECT_EQ(feed.Where(seconds(2)), std::nullopt);
}

TEST(GpsdFeed, HalfALineOfAnEndedConnectionIsForgotten) {
  GpsdFeed feed;
  feed.Take(kFix.substr(0, 30), seconds(0));
  feed.Interrupted();
  feed.Take(kFix, seconds(0));
  EXPECT_TRUE(feed.Where(seconds(0)));
  EXPECT_EQ(feed.bad_lines(), 0u);
}

TEST(ConnectToGpsd, TakesAddressesOnly) {
  for (const char* bad : {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:70000",
                          "gps.example:2947", ":2947x"}) {
    EXPECT_FALSE(ConnectToGpsd(bad).ok()) << bad;
  }
  EXPECT_TRUE(ConnectToGpsd("127.0.0.1:2947").ok());
  EXPECT_TRUE(ConnectToGpsd("localhost:2947").ok());
  EXPECT_TRUE(ConnectToGpsd("[::1]:2947").ok());
}

// A gpsd of a test: listens on a free port, sends what it is told.
class FakeGpsd {
 public:
  FakeGpsd() : listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    CHECK(::listen(listener_, 4) == 0);
    socklen_t size = sizeof address;
    CHECK(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
  }
  ~FakeGpsd() {
    HangUp();
    ::close(listener_);
  }
  bool somebody_knocks() const {
    pollfd wait{.fd = listener_, .events = POLLIN, .revents = 0};
    return ::poll(&wait, 1, 0) > 0;
  }
  std::string address() const { return base::StrCat("127.0.0.1:", port_); }
  void Accept() {
    client_ = ::accept(listener_, nullptr, nullptr);
    const timeval patience{.tv_sec = 10, .tv_usec = 0};  // A test fails rather than hangs.
    ::setsockopt(client_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  void Send(std::string_view text) {
    CHECK(::send(client_, text.data(), text.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(text.size()));
  }
  // The first line that came.
  std::string Heard() {
    std::string line;
    for (char c = 0; ::recv(client_, &c, 1, 0) == 1 && c != '\n';) line += c;
    return line;
  }
  void HangUp() {
    if (client_ >= 0) ::close(client_);
    client_ = -1;
  }

 private:
  int listener_;
  int client_ = -1;
  int port_ = 0;
};

// Loopback delivers within the call, but promises nothing: asks until it is so, at most a while.
template <typename Claim>
bool Soon(Claim claim) {
  for (int i = 0; i < 2000; ++i) {
    if (claim()) return true;
    ::poll(nullptr, 0, 1);
  }
  return false;
}

TEST(GpsdLocator, AsksListensAndComesBackAfterTheServerWentAway) {
  FakeGpsd gpsd;
  const auto locator = MakeGpsdLocator(ConnectToGpsd(gpsd.address()).value());
  EXPECT_EQ(locator->Where(seconds(0)), std::nullopt);
  ASSERT_TRUE(Soon([&] { return gpsd.somebody_knocks(); }));
  gpsd.Accept();
  static_cast<void>(locator->Where(seconds(0)));
  EXPECT_EQ(gpsd.Heard(), "?WATCH={\"enable\":true,\"json\":true};");
  gpsd.Send(kFix);
  EXPECT_TRUE(Soon([&] { return locator->Where(seconds(1)).has_value(); }));

  gpsd.Send(kFix.substr(0, 20));
  gpsd.HangUp();
  // It is noticed, and tried again ten seconds after the last try; the old fix grows old meanwhile.
  ASSERT_TRUE(Soon([&] {
    EXPECT_EQ(locator->Where(seconds(65)), std::nullopt);
    return gpsd.somebody_knocks();
  }));
  gpsd.Accept();
  gpsd.Send(kFix);
  EXPECT_TRUE(Soon([&] { return locator->Where(seconds(66)).has_value(); }));
}

TEST(GpsdLocator, NobodyThereIsNoPlace) {
  std::string address;
  {
    const FakeGpsd gone;
    address = gone.address();
  }
  const auto locator = MakeGpsdLocator(ConnectToGpsd(address).value());
  for (int s = 0; s < 30; ++s) EXPECT_EQ(locator->Where(seconds(s)), std::nullopt);
}

}  // namespace
}  // namespace tinylcm::location
