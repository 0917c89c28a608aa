// HttpServer: a server of a few lines on loopback, for clients that are tested against it.
//
// Keeps connections and says on which of them a request came; an answer is whatever bytes the test
// likes, or none.

#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace tests {

struct HttpRequest {
  std::string method;
  std::string target;                          // As it was sent.
  std::map<std::string, std::string> headers;  // Names in lower case.
  std::string body;
  int connection = 0;  // Counted from 0 in the order they were made.
};

struct HttpAnswer {
  std::string bytes;    // The whole answer, head and body.
  bool closes = false;  // Hangs up afterwards.

  static HttpAnswer Of(int status, const std::string& body,
                       const std::vector<std::string>& headers = {});
  // Takes the request and hangs up.
  static HttpAnswer Nothing() { return {.bytes = "", .closes = true}; }
};

class HttpServer {
 public:
  // Called from a thread a connection.
  using Handle = std::function<HttpAnswer(const HttpRequest& request)>;
  struct Tls {
    std::string certificate_pem;
    std::string key_pem;
  };

  explicit HttpServer(Handle handle);
  HttpServer(Handle handle, const Tls& tls);
  ~HttpServer();

  std::string url() const;  // "http://127.0.0.1:41234"
  int connections() const;  // Made so far.

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tests
