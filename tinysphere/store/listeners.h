// Listeners: who hears what is said on which channel, inside one process.
//
// Both databases keep theirs here: SQLite tells them after its commit, PostgreSQL when the server
// passes a NOTIFY on. As many as were added; a message costs a look at each.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "tinysphere/store/database.h"

namespace tinysphere::store {

// May be used from several threads.
class Listeners {
 public:
  // Must not outlive this. Its end waits for a call under way, so it must not lie in `heard`
  // itself.
  std::unique_ptr<Listening> Add(std::string_view channel, Database::Heard heard);
  void Tell(std::string_view channel, const std::string& message);
  // Something may have been missed: everybody hears "".
  void TellAll();

 private:
  class One;
  struct Entry {
    std::string channel;
    Database::Heard heard;
  };

  std::mutex mutex_;
  std::map<std::int64_t, Entry> entries_;
  std::int64_t next_ = 0;
};

}  // namespace tinysphere::store
