#include "tinysphere/platform/beast/beast_server.h"

// The warnings below come from Boost's own headers.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wpedantic"
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/chunk_encode.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#pragma GCC diagnostic pop

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/text.h"
#include "tinysphere/http/block_pool.h"

namespace tinysphere::beast {

namespace {

namespace asio = boost::asio;
namespace bb = boost::beast;
namespace bh = boost::beast::http;
using asio::ip::tcp;
using base::Error;
using base::ErrorCode;
using boost::system::error_code;
using http::BodyRule;
using http::Request;
using http::Response;
using http::Route;

constexpr std::size_t kBlockBytes = http::BlockPool::kBlockBytes;
constexpr std::size_t kSmallBodyMax = 64 * 1024;  // Read and thrown away rather than hung up on.
// What is read before it is known what comes: a header, and the beginning of a body.
constexpr std::size_t kHeadRoom = 16 * 1024;
// Blocks that wait for the next body: 8 MiB.
constexpr std::size_t kIdleBlocksMax = 32;

// Runs `task` on the pool and comes back to the connection's strand: two posts, no coroutine of its
// own. (A plain function, so that Asio's machinery is compiled once and not for every result type.)
asio::awaitable<void> OnPool(asio::thread_pool& pool, const std::function<void()>& task) {
  std::exception_ptr failure;
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
      [&](auto handler) {
        auto executor = asio::get_associated_executor(handler);
        // The connection's context must not think that nothing is left to do.
        auto guard = asio::make_work_guard(executor);
        asio::post(pool, [&task, &failure, handler = std::move(handler),
                          guard = std::move(guard)]() mutable {
          try {
            task();
          } catch (...) {
            failure = std::current_exception();
          }
          asio::post(guard.get_executor(), std::move(handler));
        });
      },
      asio::use_awaitable);
  if (failure) std::rethrow_exception(failure);
}

template <typename F>
asio::awaitable<std::invoke_result_t<F>> RunOn(asio::thread_pool& pool, F work) {
  std::optional<std::invoke_result_t<F>> result;
  const std::function<void()> task = [&] { result.emplace(work()); };
  co_await OnPool(pool, task);
  co_return std::move(*result);
}

// Bytes of bodies that came and were not yet answered, over all connections.
class InFlight {
 public:
  explicit InFlight(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}
  bool Take(std::uint64_t bytes) {
    if (bytes_.fetch_add(bytes) + bytes <= bytes_max_) return true;
    bytes_.fetch_sub(bytes);
    return false;
  }
  void Give(std::uint64_t bytes) { bytes_.fetch_sub(bytes); }

 private:
  const std::uint64_t bytes_max_;
  std::atomic<std::uint64_t> bytes_{0};
};

// One connection's part of them.
class Share {
 public:
  explicit Share(InFlight& in_flight) : in_flight_(in_flight) {}
  Share(const Share&) = delete;
  Share& operator=(const Share&) = delete;
  ~Share() { in_flight_.Give(bytes_); }

  bool Take(std::uint64_t bytes) {
    if (!in_flight_.Take(bytes)) return false;
    bytes_ += bytes;
    return true;
  }

 private:
  InFlight& in_flight_;
  std::uint64_t bytes_ = 0;
};

// What all connections of a server share.
struct Shared {
  Shared(const http::ServerOptions& o, const http::Router& r, base::FileSystem& f, base::Logger& l)
      : options(o), router(r), fs(f), logger(l), in_flight(o.bytes_in_flight_max) {}

  const http::ServerOptions options;
  const http::Router& router;
  base::FileSystem& fs;
  base::Logger& logger;
  InFlight in_flight;
  http::BlockPool blocks{kIdleBlocksMax};
  std::unique_ptr<asio::thread_pool> workers;
  std::atomic<bool> is_stopping{false};
  std::atomic<std::uint64_t> next_spool{0};

  // Connections, so that Stop can wake the idle ones and wait for the rest.
  std::mutex mutex;
  std::condition_variable changed;
  std::uint64_t next_connection = 0;
  std::map<std::uint64_t, std::function<void(bool)>> connections;  // close(also_if_busy)
};

// A request body on its way to a spool file.
class Spool {
 public:
  Spool(base::FileSystem& fs, std::string path) : fs_(fs), path_(std::move(path)) {}
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;
  ~Spool() {
    if (!file_) return;
    file_.reset();
    (void)fs_.Remove(path_).ok();
  }

  base::Status Append(base::ByteView bytes) {
    if (!file_) {
      ASSIGN_OR_RETURN(file_, fs_.Create(path_, base::FileSystem::Mode::kTruncate));
    }
    hash_.Update(bytes);
    bytes_ += bytes.size();
    return file_->Append(bytes);
  }

  base::Result<http::Body> Finish() {
    RETURN_IF_ERROR(Append({}));  // An empty body is a file too.
    RETURN_IF_ERROR(file_->Close());
    file_.reset();
    return http::Body(fs_, path_, bytes_, hash_.Finish());
  }

 private:
  base::FileSystem& fs_;
  std::string path_;
  std::unique_ptr<base::WritableFile> file_;
  base::Sha256 hash_;
  std::uint64_t bytes_ = 0;
};

template <typename Stream>
class Connection {
 public:
  static constexpr bool kIsSecure = !std::is_same_v<Stream, bb::tcp_stream>;

  Connection(Stream stream, Shared& shared) : stream_(std::move(stream)), shared_(shared) {
    // Beast reads as much at a time as the buffer has room for, 512 bytes without this.
    buffer_.reserve(kHeadRoom);
  }

  asio::awaitable<void> Run() {
    error_code ec;
    const tcp::endpoint endpoint = Socket().remote_endpoint(ec);
    if (ec) co_return;
    peer_.address = endpoint.address().to_string();
    peer_.is_loopback = endpoint.address().is_loopback();
    peer_.is_secure = kIsSecure;
    Socket().set_option(tcp::no_delay(true), ec);
    if constexpr (kIsSecure) {
      Lowest().expires_after(shared_.options.header_timeout);
      co_await stream_.async_handshake(asio::ssl::stream_base::server,
                                       asio::redirect_error(asio::use_awaitable, ec));
      if (ec) co_return;
    }
    bool goes_on = true;
    while (goes_on && !shared_.is_stopping) goes_on = co_await ServeOne();
    co_await Close();
  }

  // Ends the connection if nothing is under way, or at all events.
  void Stop(bool also_if_busy) {
    if (also_if_busy || !is_busy_) {
      error_code ec;
      Socket().shutdown(tcp::socket::shutdown_both, ec);
      Socket().close(ec);
    }
  }

 private:
  using Parser = bh::request_parser<bh::buffer_body>;

  bb::tcp_stream& Lowest() { return bb::get_lowest_layer(stream_); }
  tcp::socket& Socket() { return Lowest().socket(); }

  // One request and its answer; whether the connection may serve another.
  asio::awaitable<bool> ServeOne() {
    error_code ec;
    is_busy_ = false;
    if (buffer_.size() == 0) {
      // Nothing has come yet: wait as long as an idle connection may.
      Lowest().expires_after(shared_.options.idle_timeout);
      auto room = buffer_.prepare(kHeadRoom);
      const std::size_t got =
          co_await stream_.async_read_some(room, asio::redirect_error(asio::use_awaitable, ec));
      if (ec) co_return false;
      buffer_.commit(got);
    }
    is_busy_ = true;
    Parser parser;
    parser.header_limit(static_cast<std::uint32_t>(shared_.options.header_bytes_max));
    // Limits are ours, a route's; Beast would have one for all.
    parser.body_limit(boost::none);
    Lowest().expires_after(shared_.options.header_timeout);
    co_await bh::async_read_header(stream_, buffer_, parser,
                                   asio::redirect_error(asio::use_awaitable, ec));
    Request request;
    request.peer = peer_;
    if (ec) {
      http::Router::Begin(request);
      if (ec == bh::error::header_limit) {
        co_await Refuse(request, 431, "exhausted", "the header is too long");
      } else if (ec.category() == bh::make_error_code(bh::error::bad_method).category() &&
                 ec != bh::error::end_of_stream && ec != bh::error::partial_message) {
        co_await Refuse(request, 400, "invalid_argument", "the request is malformed");
      }
      co_return false;
    }
    const auto& head = parser.get();
    request.method = http::ParseMethod(
        std::string_view(head.method_string().data(), head.method_string().size()));
    for (const auto& field : head) {
      request.headers.Add(std::string(field.name_string()), std::string(field.value()));
    }
    http::Router::Begin(request);
    const bool keeps_alive = head.keep_alive();
    if (head.count(bh::field::transfer_encoding) > 0 && head.count(bh::field::content_length) > 0) {
      // Two readers may disagree where such a request ends (request smuggling).
      co_await Refuse(request, 400, "invalid_argument",
                      "Content-Length and Transfer-Encoding exclude each other");
      co_return false;
    }
    const base::Status target =
        http::SetTarget(request, std::string_view(head.target().data(), head.target().size()));
    if (!target.ok()) {
      co_await Refuse(request, 400, "invalid_argument", target.error().message);
      co_return false;
    }

    // Who asks for what. Looking up keys and sessions reads the database, hence the pool.
    const Route* route = nullptr;
    std::optional<Response> refused =
        co_await RunOn(*shared_.workers, [&] { return Admit(request, &route); });
    const std::optional<std::uint64_t> length =
        parser.content_length() ? std::optional<std::uint64_t>(*parser.content_length())
                                : std::nullopt;
    const bool has_body = parser.chunked() || length.value_or(0) > 0;
    if (!refused && has_body) {
      if (length.value_or(0) > route->body.bytes_max) {
        refused = co_await RunOn(*shared_.workers,
                                 [&] { return shared_.router.TooLarge(request, *route); });
      }
    }
    if (refused) {
      co_return co_await AnswerUnread(request, *refused, parser, has_body, keeps_alive);
    }

    if (has_body) {
      Share share(shared_.in_flight);
      if (bb::iequals(head[bh::field::expect], "100-continue")) {
        bh::response<bh::empty_body> go_on(bh::status::continue_, head.version());
        co_await bh::async_write(stream_, go_on, asio::redirect_error(asio::use_awaitable, ec));
        if (ec) co_return false;
      }
      std::optional<Response> failed = co_await ReadBody(request, *route, parser, share, ec);
      if (ec) co_return false;
      if (failed) co_return co_await AnswerUnread(request, *failed, parser, true, false);
      co_return co_await Answer(request, *route, keeps_alive);
    }
    co_return co_await Answer(request, *route, keeps_alive);
  }

  std::optional<Response> Admit(Request& request, const Route** route) {
    std::variant<const Route*, Response> found = shared_.router.Find(request);
    if (Response* response = std::get_if<Response>(&found)) return std::move(*response);
    *route = std::get<const Route*>(found);
    return shared_.router.Authorise(request, **route);
  }

  // Fills request.body; an answer if that failed for a reason to be told, `ec` if the peer is gone.
  asio::awaitable<std::optional<Response>> ReadBody(Request& request, const Route& route,
                                                    Parser& parser, Share& share, error_code& ec) {
    const bool is_spooled = route.body.kind == BodyRule::Kind::kSpool;
    const std::optional<std::uint64_t> length =
        parser.content_length() ? std::optional<std::uint64_t>(*parser.content_length())
                                : std::nullopt;
    const bool is_held = is_spooled && length && *length <= route.body.held_max;
    CHECK(!is_held || *length <= kBlockBytes);
    std::optional<Spool> spool;
    if (is_spooled && !is_held) {
      spool.emplace(shared_.fs,
                    base::JoinPath(shared_.options.spool_folder,
                                   base::StrCat("body-", shared_.next_spool.fetch_add(1))));
    }
    std::string text;
    http::Block block = shared_.blocks.Take();
    std::uint64_t received = 0;
    const auto begun = std::chrono::steady_clock::now();
    // A byte now and then would keep a connection for days.
    const auto is_too_slow = [&](std::uint64_t bytes) {
      const std::chrono::duration<double> allowed(
          static_cast<double>(bytes) /
          static_cast<double>(shared_.options.body_bytes_per_second_min));
      return std::chrono::steady_clock::now() - begun > shared_.options.body_timeout + allowed;
    };
    const auto is_done = [&] { return length ? received == *length : parser.is_done(); };
    while (!is_done()) {
      std::size_t filled = 0;
      if (length) {
        // First what came with the header, then straight from the socket into the block.
        const auto wanted =
            static_cast<std::size_t>(std::min<std::uint64_t>(kBlockBytes, *length - received));
        filled = asio::buffer_copy(asio::buffer(block.data(), wanted), buffer_.data());
        buffer_.consume(filled);
        while (filled < wanted) {
          Lowest().expires_after(shared_.options.body_timeout);
          filled +=
              co_await stream_.async_read_some(asio::buffer(block.data() + filled, wanted - filled),
                                               asio::redirect_error(asio::use_awaitable, ec));
          if (!ec && is_too_slow(received + filled)) ec = asio::error::timed_out;
          if (ec) co_return std::nullopt;
        }
      } else {
        while (filled < kBlockBytes && !parser.is_done()) {
          parser.get().body().data = block.data() + filled;
          parser.get().body().size = kBlockBytes - filled;
          parser.get().body().more = true;
          Lowest().expires_after(shared_.options.body_timeout);
          co_await bh::async_read_some(stream_, buffer_, parser,
                                       asio::redirect_error(asio::use_awaitable, ec));
          if (ec == bh::error::need_buffer) ec = {};
          if (!ec && is_too_slow(received + filled)) ec = asio::error::timed_out;
          if (ec) co_return std::nullopt;
          filled = kBlockBytes - parser.get().body().size;
        }
      }
      received += filled;
      if (received > route.body.bytes_max) {
        co_return co_await RunOn(*shared_.workers,
                                 [&] { return shared_.router.TooLarge(request, route); });
      }
      // What came, not what was announced: a thousand slow peers do not keep the others out.
      if (!share.Take(filled)) {
        co_return http::ErrorResponse(
            Error{ErrorCode::kExhausted, "too much is being uploaded; try again"});
      }
      const base::ByteView bytes = base::ByteView(block.span()).first(filled);
      if (is_held) {
        // The whole of it, hashed while the cache has it.
        request.body = http::Body(std::move(block), filled, base::Sha256Of(bytes));
        co_return std::nullopt;
      }
      if (!is_spooled) {
        text += base::AsText(bytes);
        continue;
      }
      const base::Status written =
          co_await RunOn(*shared_.workers, [&] { return spool->Append(bytes); });
      if (!written.ok()) co_return http::ErrorResponse(written.error());
    }
    if (!is_spooled) {
      request.body = http::Body(std::move(text));
      co_return std::nullopt;
    }
    base::Result<http::Body> body =
        co_await RunOn(*shared_.workers, [&] { return spool->Finish(); });
    if (!body.ok()) co_return http::ErrorResponse(body.error());
    request.body = std::move(body).value();
    co_return std::nullopt;
  }

  asio::awaitable<bool> Answer(Request& request, const Route& route, bool keeps_alive) {
    for (;;) {
      Response response = co_await RunOn(*shared_.workers, [&] {
        Response made = shared_.router.Handle(request, route);
        if (!made.again_after && !HangsUp(request, made)) shared_.router.Finish(request, made);
        return made;
      });
      if (!response.again_after) co_return co_await Send(request, response, keeps_alive);
      if (shared_.is_stopping) co_return false;
      asio::steady_timer pause(co_await asio::this_coro::executor, *response.again_after);
      error_code ec;
      co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, ec));
      request.tries += 1;
    }
  }

  asio::awaitable<void> Refuse(const Request& request, int status, std::string_view code,
                               std::string_view message) {
    Response response = http::ErrorResponse(status, code, message);
    co_await Write(request, response, false);
  }

  // Answers although the body has not been read. A short rest is read and thrown away, for a
  // connection closed on unread bytes may take the answer with it.
  asio::awaitable<bool> AnswerUnread(const Request& request, Response& response, Parser& parser,
                                     bool has_body, bool keeps_alive) {
    if (!has_body) co_return co_await Write(request, response, keeps_alive);
    const std::uint64_t length = parser.content_length().value_or(kBlockBytes);
    if (keeps_alive && length <= kSmallBodyMax && !request.headers.Has("Expect")) {
      if (!co_await Drain(parser, kSmallBodyMax)) co_return false;
      co_return co_await Write(request, response, true);
    }
    co_await Write(request, response, false);
    // The peer learns that nothing more will come, and has a little time to stop sending.
    error_code ec;
    if constexpr (!kIsSecure) Socket().shutdown(tcp::socket::shutdown_send, ec);
    co_await Drain(parser, 256ull << 20);
    co_return false;
  }

  // Reads the rest of a body and throws it away; whether it ended within `bytes_max` and 5 s.
  asio::awaitable<bool> Drain(Parser& parser, std::uint64_t bytes_max) {
    error_code ec;
    base::Bytes waste(kSmallBodyMax);
    std::uint64_t drained = 0;
    Lowest().expires_after(std::chrono::seconds(5));
    while (!parser.is_done() && drained <= bytes_max) {
      parser.get().body().data = waste.data();
      parser.get().body().size = waste.size();
      parser.get().body().more = true;
      co_await bh::async_read_some(stream_, buffer_, parser,
                                   asio::redirect_error(asio::use_awaitable, ec));
      if (ec == bh::error::need_buffer) ec = {};
      if (ec) co_return false;
      drained += waste.size() - parser.get().body().size;
    }
    co_return parser.is_done();
  }

  asio::awaitable<bool> Write(const Request& request, Response& response, bool keeps_alive) {
    if (HangsUp(request, response)) co_return false;
    co_await RunOn(*shared_.workers, [&] {
      shared_.router.Finish(request, response);
      return 0;
    });
    co_return co_await Send(request, response, keeps_alive);
  }

  // What may pass is not said to one who takes it for a final no; without an answer it tries again.
  static bool HangsUp(const Request& request, const Response& response) {
    const bool may_pass = response.status >= 500 || response.status == 429;
    return response.hangs_up || (request.identity.is_legacy() && may_pass);
  }

  // REQUIRES: Router::Finish has seen the response.
  asio::awaitable<bool> Send(const Request& request, Response& response, bool keeps_alive) {
    if (HangsUp(request, response)) co_return false;
    const bool is_head = request.method == http::Method::kHead;
    keeps_alive = keeps_alive && !shared_.is_stopping;
    if (auto* events = std::get_if<std::shared_ptr<http::EventSubscription>>(&response.body)) {
      co_return co_await WriteEvents(response, *events, is_head);
    }

    bh::response<bh::buffer_body> message;
    message.version(11);
    message.result(static_cast<unsigned>(response.status));
    for (const auto& [name, value] : response.headers.fields()) {
      message.insert(name, value);
    }
    message.keep_alive(keeps_alive);
    const auto* stretch = std::get_if<http::Stretch>(&response.body);
    base::ByteView bytes;
    if (const auto* text = std::get_if<std::string>(&response.body)) bytes = base::AsBytes(*text);
    if (const auto* view = std::get_if<base::ByteView>(&response.body)) bytes = *view;
    const std::uint64_t size = stretch ? stretch->bytes : bytes.size();
    const bool has_no_body = response.status == 204 || response.status == 304;
    // A HEAD handler states the length of something else only through its own field.
    if (!has_no_body && message.find(bh::field::content_length) == message.end()) {
      message.content_length(size);
    }
    error_code ec;
    Lowest().expires_after(shared_.options.body_timeout);
    bh::response_serializer<bh::buffer_body> serializer(message);
    message.body().data = nullptr;
    message.body().more = false;
    if (is_head || has_no_body || size == 0) {
      co_await bh::async_write_header(stream_, serializer,
                                      asio::redirect_error(asio::use_awaitable, ec));
      co_return !ec && keeps_alive;
    }
    if (!stretch) {
      message.body().data = const_cast<std::uint8_t*>(bytes.data());
      message.body().size = bytes.size();
      co_await bh::async_write(stream_, serializer, asio::redirect_error(asio::use_awaitable, ec));
      co_return !ec && keeps_alive;
    }
    const http::Block block = shared_.blocks.Take();
    std::uint64_t sent = 0;
    while (sent < size) {
      const std::size_t wanted =
          static_cast<std::size_t>(std::min<std::uint64_t>(kBlockBytes, size - sent));
      const base::Result<std::size_t> got = co_await RunOn(*shared_.workers, [&] {
        return stretch->file->ReadAt(stretch->offset + sent, block.span().first(wanted));
      });
      if (!got.ok() || *got == 0) {
        // The status has been sent: only a broken connection can tell that this went wrong.
        shared_.logger.Error(base::StrCat("http: reading ", request.path, " failed: ",
                                          got.ok() ? "too short" : got.error().message));
        co_return false;
      }
      sent += *got;
      message.body().data = block.data();
      message.body().size = *got;
      message.body().more = sent < size;
      Lowest().expires_after(shared_.options.body_timeout);
      co_await bh::async_write(stream_, serializer, asio::redirect_error(asio::use_awaitable, ec));
      if (ec == bh::error::need_buffer) ec = {};
      if (ec) co_return false;
    }
    co_return keeps_alive;
  }

  // An event stream: what comes, and a comment now and then, until one side ends it.
  asio::awaitable<bool> WriteEvents(const Response& response,
                                    std::shared_ptr<http::EventSubscription> events, bool is_head) {
    bh::response<bh::empty_body> message;
    message.version(11);
    message.result(static_cast<unsigned>(response.status));
    for (const auto& [name, value] : response.headers.fields()) message.insert(name, value);
    message.chunked(true);
    message.keep_alive(false);
    bh::response_serializer<bh::empty_body> serializer(message);
    error_code ec;
    Lowest().expires_after(shared_.options.body_timeout);
    co_await bh::async_write_header(stream_, serializer,
                                    asio::redirect_error(asio::use_awaitable, ec));
    if (ec || is_head) co_return false;

    const auto executor = co_await asio::this_coro::executor;
    // Shared with the wake-up, which may still be on its way when this has ended.
    auto timer = std::make_shared<asio::steady_timer>(executor);
    events->OnReady([timer, executor] { asio::post(executor, [timer] { timer->cancel(); }); });
    std::string text = ": connected\n\n";
    for (;;) {
      if (!text.empty()) {
        Lowest().expires_after(shared_.options.body_timeout);
        const auto chunk = bh::make_chunk(asio::const_buffer(text.data(), text.size()));
        co_await asio::async_write(stream_, chunk, asio::redirect_error(asio::use_awaitable, ec));
        if (ec) break;
      }
      if (events->is_closed()) break;
      text = events->Take();
      if (!text.empty()) continue;
      // A wake-up between Take and here is posted to this strand, so it comes after the wait began.
      Lowest().expires_never();
      timer->expires_after(shared_.options.heartbeat);
      co_await timer->async_wait(asio::redirect_error(asio::use_awaitable, ec));
      const bool is_woken = ec == asio::error::operation_aborted;
      ec = {};
      if (events->is_closed()) break;
      text = events->Take();
      if (text.empty() && !is_woken) text = ": alive\n\n";
    }
    events->OnReady(nullptr);
    events->Close();
    if (!ec) {
      Lowest().expires_after(std::chrono::seconds(1));
      co_await asio::async_write(stream_, bh::make_chunk_last(),
                                 asio::redirect_error(asio::use_awaitable, ec));
    }
    co_return false;
  }

  asio::awaitable<void> Close() {
    error_code ec;
    if constexpr (kIsSecure) {
      Lowest().expires_after(std::chrono::seconds(1));
      co_await stream_.async_shutdown(asio::redirect_error(asio::use_awaitable, ec));
    }
    Socket().shutdown(tcp::socket::shutdown_send, ec);
    Lowest().close();
  }

  Stream stream_;
  Shared& shared_;
  bb::flat_buffer buffer_;
  http::Peer peer_;
  bool is_busy_ = false;
};

class BeastServer final : public http::Server {
 public:
  BeastServer(const http::ServerOptions& options, const http::Router& router,
              http::EventHub& events, base::FileSystem& fs, base::Logger& logger)
      : shared_(options, router, fs, logger),
        events_(events),
        io_(std::max(1, options.io_threads)),
        acceptor_(asio::make_strand(io_)) {}

  ~BeastServer() override { Stop(); }

  base::Status Start() {
    const http::ServerOptions& options = shared_.options;
    if (options.tls_certificate_path.empty() != options.tls_key_path.empty()) {
      return Error{ErrorCode::kInvalidArgument, "tls: certificate and key go together"};
    }
    if (!options.tls_certificate_path.empty()) RETURN_IF_ERROR(SetUpTls());
    RETURN_IF_ERROR(base::RemoveTree(shared_.fs, options.spool_folder));
    RETURN_IF_ERROR(shared_.fs.CreateDirectories(options.spool_folder));

    error_code ec;
    tcp::resolver resolver(io_);
    const auto found =
        resolver.resolve(options.host, std::to_string(options.port), tcp::resolver::passive, ec);
    if (ec || found.empty()) {
      return Error{ErrorCode::kInvalidArgument,
                   base::StrCat("listen: host ", options.host, ": ", ec.message())};
    }
    const tcp::endpoint endpoint = found.begin()->endpoint();
    acceptor_.open(endpoint.protocol(), ec);
    if (!ec) acceptor_.set_option(asio::socket_base::reuse_address(true), ec);
    if (!ec) acceptor_.bind(endpoint, ec);
    if (!ec) acceptor_.listen(asio::socket_base::max_listen_connections, ec);
    if (!ec) port_ = acceptor_.local_endpoint(ec).port();
    if (ec) {
      return Error{ErrorCode::kUnavailable,
                   base::StrCat("listen: ", options.host, ":", options.port, ": ", ec.message())};
    }
    shared_.workers =
        std::make_unique<asio::thread_pool>(static_cast<std::size_t>(options.worker_threads));
    asio::co_spawn(acceptor_.get_executor(), Accept(), [](std::exception_ptr) {});
    for (int i = 0; i < std::max(1, options.io_threads); ++i) {
      threads_.emplace_back([this] { io_.run(); });
    }
    return {};
  }

  std::uint16_t port() const override { return port_; }
  bool is_secure() const override { return tls_.has_value(); }

  void Stop() override {
    if (is_stopped_.exchange(true)) return;
    shared_.is_stopping = true;
    asio::post(acceptor_.get_executor(), [this] {
      error_code ec;
      acceptor_.close(ec);
    });
    events_.CloseAll();
    CloseConnections(false);
    {
      std::unique_lock lock(shared_.mutex);
      const auto is_empty = [&] { return shared_.connections.empty(); };
      if (!threads_.empty() && !shared_.changed.wait_for(lock, shared_.options.drain, is_empty)) {
        lock.unlock();
        CloseConnections(true);
        lock.lock();
        // Handlers run to their end; nothing waits for a peer any more.
        shared_.changed.wait(lock, is_empty);
      }
    }
    if (shared_.workers) shared_.workers->join();
    io_.stop();
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  base::Status SetUpTls() {
    tls_.emplace(asio::ssl::context::tls_server);
    error_code ec;
    tls_->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_sslv2 |
                          asio::ssl::context::no_sslv3 | asio::ssl::context::no_tlsv1 |
                          asio::ssl::context::no_tlsv1_1 | asio::ssl::context::no_compression,
                      ec);
    if (!ec) tls_->use_certificate_chain_file(shared_.options.tls_certificate_path, ec);
    if (ec) {
      return Error{ErrorCode::kInvalidArgument,
                   base::StrCat("tls: ", shared_.options.tls_certificate_path, ": ", ec.message())};
    }
    tls_->use_private_key_file(shared_.options.tls_key_path, asio::ssl::context::pem, ec);
    if (ec) {
      return Error{ErrorCode::kInvalidArgument,
                   base::StrCat("tls: ", shared_.options.tls_key_path, ": ", ec.message())};
    }
    return {};
  }

  asio::awaitable<void> Accept() {
    while (!shared_.is_stopping) {
      error_code ec;
      tcp::socket socket = co_await acceptor_.async_accept(
          asio::make_strand(io_), asio::redirect_error(asio::use_awaitable, ec));
      if (ec == asio::error::operation_aborted || shared_.is_stopping) co_return;
      if (ec) {
        // Out of descriptors, most likely: a pause lets some be closed.
        shared_.logger.Warning("http: accept: " + ec.message());
        asio::steady_timer pause(acceptor_.get_executor(), std::chrono::milliseconds(100));
        co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, ec));
        continue;
      }
      {
        const std::lock_guard lock(shared_.mutex);
        // Closed at once: the peer sees a reset and comes again later.
        if (shared_.connections.size() >=
            static_cast<std::size_t>(shared_.options.connections_max)) {
          continue;
        }
      }
      if (tls_) {
        Serve(bb::ssl_stream<bb::tcp_stream>(bb::tcp_stream(std::move(socket)), *tls_));
      } else {
        Serve(bb::tcp_stream(std::move(socket)));
      }
    }
  }

  template <typename Stream>
  void Serve(Stream stream) {
    auto executor = stream.get_executor();
    auto connection = std::make_shared<Connection<Stream>>(std::move(stream), shared_);
    std::uint64_t number = 0;
    {
      const std::lock_guard lock(shared_.mutex);
      number = shared_.next_connection++;
      shared_.connections.emplace(number, [executor, connection](bool also_if_busy) {
        asio::post(executor, [connection, also_if_busy] { connection->Stop(also_if_busy); });
      });
    }
    asio::co_spawn(executor, connection->Run(),
                   [this, number, connection](std::exception_ptr failure) {
                     if (failure) shared_.logger.Error("http: a connection ended by an exception");
                     const std::lock_guard lock(shared_.mutex);
                     shared_.connections.erase(number);
                     shared_.changed.notify_all();
                   });
  }

  void CloseConnections(bool also_if_busy) {
    const std::lock_guard lock(shared_.mutex);
    for (const auto& [number, close] : shared_.connections) close(also_if_busy);
  }

  Shared shared_;
  http::EventHub& events_;
  asio::io_context io_;
  std::optional<asio::ssl::context> tls_;
  tcp::acceptor acceptor_;
  std::uint16_t port_ = 0;
  std::vector<std::thread> threads_;
  std::atomic<bool> is_stopped_{false};
};

}  // namespace

base::Result<std::unique_ptr<http::Server>> StartServer(const http::ServerOptions& options,
                                                        const http::Router& router,
                                                        http::EventHub& events,
                                                        base::FileSystem& fs,
                                                        base::Logger& logger) {
  auto server = std::make_unique<BeastServer>(options, router, events, fs, logger);
  RETURN_IF_ERROR(server->Start());
  return std::unique_ptr<http::Server>(std::move(server));
}

}  // namespace tinysphere::beast
