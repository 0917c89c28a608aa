#include "tests/support/fake_file_system.h"

#include <algorithm>
#include <set>

#include "base/text.h"

namespace tests {

using base::Bytes;
using base::ByteView;
using base::Error;
using base::ErrorCode;
using base::FileInfo;
using base::Result;
using base::Status;
using base::StrCat;

struct FakeFileSystem::Node {
  bool is_directory = false;
  Bytes data;
  Bytes synced_data;
  std::map<std::string, NodePointer> entries;
  std::map<std::string, NodePointer> synced_entries;
  base::Time modified{};
};

namespace {

// "a//b/./c" -> {"a", "b", "c"}; absolute and relative paths are the same here.
std::vector<std::string> Parts(const std::string& path) {
  std::vector<std::string> parts;
  for (const std::string_view part : base::Split(path, '/')) {
    if (!part.empty() && part != ".") parts.emplace_back(part);
  }
  return parts;
}

std::string LastPart(const std::string& path) {
  const std::vector<std::string> parts = Parts(path);
  return parts.empty() ? "" : parts.back();
}

Error NotFound(const std::string& path) {
  return {ErrorCode::kNotFound, path + ": no such file or directory"};
}

}  // namespace

class FakeFileSystem::Writer final : public base::WritableFile {
 public:
  Writer(FakeFileSystem* fs, NodePointer node, std::string path)
      : fs_(fs), node_(std::move(node)), path_(std::move(path)), era_(fs->era_) {}

  Status Append(ByteView bytes) override {
    const std::lock_guard lock(fs_->mutex_);
    RETURN_IF_ERROR(BeforeLocked(Operation::kAppend));
    const std::uint64_t used = fs_->UsedLocked();
    const std::uint64_t room = fs_->capacity_ > used ? fs_->capacity_ - used : 0;
    const std::size_t fits = static_cast<std::size_t>(std::min<std::uint64_t>(room, bytes.size()));
    node_->data.insert(node_->data.end(), bytes.begin(),
                       bytes.begin() + static_cast<std::ptrdiff_t>(fits));
    if (fits < bytes.size()) {
      return Error{ErrorCode::kExhausted, path_ + ": write: no space left on device"};
    }
    return {};
  }

  Status Sync() override {
    const std::lock_guard lock(fs_->mutex_);
    RETURN_IF_ERROR(BeforeLocked(Operation::kSync));
    node_->synced_data = node_->data;
    return {};
  }

  Status Close() override {
    CHECK(!closed_);
    closed_ = true;
    return {};
  }

 private:
  Status BeforeLocked(Operation operation) {
    CHECK(!closed_);
    if (era_ != fs_->era_) {
      return Error{ErrorCode::kUnavailable, path_ + ": opened before the power cut"};
    }
    return fs_->BeforeLocked(operation, path_);
  }

  FakeFileSystem* fs_;
  NodePointer node_;
  std::string path_;
  std::uint64_t era_;
  bool closed_ = false;
};

class FakeFileSystem::Reader final : public base::ReadableFile {
 public:
  Reader(FakeFileSystem* fs, NodePointer node) : fs_(fs), node_(std::move(node)) {}

  std::uint64_t size() const override {
    const std::lock_guard lock(fs_->mutex_);
    return node_->data.size();
  }

  Result<std::size_t> ReadAt(std::uint64_t offset, std::span<std::uint8_t> out) const override {
    const std::lock_guard lock(fs_->mutex_);
    const Bytes& data = node_->data;
    if (offset >= data.size()) return std::size_t{0};
    const std::size_t begin = static_cast<std::size_t>(offset);
    const std::size_t count = std::min(out.size(), data.size() - begin);
    std::copy_n(data.begin() + static_cast<std::ptrdiff_t>(begin), count, out.begin());
    return count;
  }

 private:
  FakeFileSystem* fs_;
  NodePointer node_;
};

FakeFileSystem::FakeFileSystem() : root_(std::make_shared<Node>()) { root_->is_directory = true; }

FakeFileSystem::NodePointer FakeFileSystem::FindLocked(const std::string& path) const {
  NodePointer node = root_;
  for (const std::string& part : Parts(path)) {
    if (!node->is_directory) return nullptr;
    const auto entry = node->entries.find(part);
    if (entry == node->entries.end()) return nullptr;
    node = entry->second;
  }
  return node;
}

Result<FakeFileSystem::NodePointer> FakeFileSystem::DirectoryOfLocked(
    const std::string& path) const {
  NodePointer node = FindLocked(std::string(base::FolderOf(path)));
  if (node == nullptr || !node->is_directory) return NotFound(path);
  return node;
}

Status FakeFileSystem::BeforeLocked(Operation operation, const std::string& path) {
  if (power_off_at_ && operations_ >= *power_off_at_) power_is_off_ = true;
  ++operations_;
  if (power_is_off_) return Error{ErrorCode::kUnavailable, path + ": the power is off"};
  if (fault_) {
    if (std::optional<Error> error = fault_(operation, path)) return *error;
  }
  return {};
}

std::uint64_t FakeFileSystem::UsedLocked() const {
  std::uint64_t used = 0;
  std::vector<const Node*> left = {root_.get()};
  while (!left.empty()) {
    const Node* node = left.back();
    left.pop_back();
    used += node->data.size();
    for (const auto& [name, entry] : node->entries) left.push_back(entry.get());
  }
  return used;
}

Result<std::unique_ptr<base::WritableFile>> FakeFileSystem::Create(const std::string& path,
                                                                   Mode mode, bool) {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(BeforeLocked(Operation::kCreate, path));
  ASSIGN_OR_RETURN(const NodePointer directory, DirectoryOfLocked(path));
  NodePointer& node = directory->entries[LastPart(path)];
  if (node != nullptr && mode == Mode::kExclusive) {
    return Error{ErrorCode::kConflict, path + ": exists already"};
  }
  if (node != nullptr && node->is_directory) {
    return Error{ErrorCode::kUnavailable, path + ": is a directory"};
  }
  if (node == nullptr) node = std::make_shared<Node>();
  if (mode != Mode::kAppend) node->data.clear();
  node->modified = now_;
  return std::unique_ptr<base::WritableFile>(std::make_unique<Writer>(this, node, path));
}

Result<std::unique_ptr<base::ReadableFile>> FakeFileSystem::Open(const std::string& path) {
  const std::lock_guard lock(mutex_);
  const NodePointer node = FindLocked(path);
  if (node == nullptr) return NotFound(path);
  if (node->is_directory) return Error{ErrorCode::kUnavailable, path + ": is a directory"};
  return std::unique_ptr<base::ReadableFile>(std::make_unique<Reader>(this, node));
}

Status FakeFileSystem::Rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(BeforeLocked(Operation::kRename, from));
  const NodePointer node = FindLocked(from);
  if (node == nullptr) return NotFound(from);
  ASSIGN_OR_RETURN(const NodePointer source, DirectoryOfLocked(from));
  ASSIGN_OR_RETURN(const NodePointer target, DirectoryOfLocked(to));
  const auto there = target->entries.find(LastPart(to));
  if (there != target->entries.end() && there->second->is_directory &&
      !there->second->entries.empty()) {
    return Error{ErrorCode::kConflict, to + ": directory not empty"};
  }
  source->entries.erase(LastPart(from));
  target->entries[LastPart(to)] = node;
  return {};
}

Status FakeFileSystem::Remove(const std::string& path) {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(BeforeLocked(Operation::kRemove, path));
  const NodePointer node = FindLocked(path);
  if (node == nullptr) return NotFound(path);
  if (node->is_directory && !node->entries.empty()) {
    return Error{ErrorCode::kConflict, path + ": directory not empty"};
  }
  ASSIGN_OR_RETURN(const NodePointer directory, DirectoryOfLocked(path));
  directory->entries.erase(LastPart(path));
  return {};
}

Status FakeFileSystem::MakeDirectoriesLocked(const std::string& path) {
  NodePointer node = root_;
  for (const std::string& part : Parts(path)) {
    NodePointer& entry = node->entries[part];
    if (entry == nullptr) {
      entry = std::make_shared<Node>();
      entry->is_directory = true;
      node->synced_entries[part] = entry;
    }
    if (!entry->is_directory) {
      return Error{ErrorCode::kConflict, path + ": is a file, not a directory"};
    }
    node = entry;
  }
  return {};
}

Status FakeFileSystem::CreateDirectories(const std::string& path) {
  const std::lock_guard lock(mutex_);
  const NodePointer node = FindLocked(path);
  if (node != nullptr && node->is_directory) return {};
  RETURN_IF_ERROR(BeforeLocked(Operation::kMakeDirectory, path));
  return MakeDirectoriesLocked(path);
}

Status FakeFileSystem::SyncDirectory(const std::string& path) {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(BeforeLocked(Operation::kSyncDirectory, path));
  const NodePointer node = FindLocked(path);
  if (node == nullptr || !node->is_directory) return NotFound(path);
  node->synced_entries = node->entries;
  return {};
}

Result<std::vector<FileInfo>> FakeFileSystem::List(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (power_is_off_) return Error{ErrorCode::kUnavailable, path + ": the power is off"};
  const NodePointer node = FindLocked(path);
  if (node == nullptr || !node->is_directory) return NotFound(path);
  std::vector<FileInfo> entries;
  for (const auto& [name, entry] : node->entries) {
    entries.push_back({name, entry->data.size(), entry->is_directory, entry->modified});
  }
  return entries;
}

Result<FileInfo> FakeFileSystem::Stat(const std::string& path) {
  const std::lock_guard lock(mutex_);
  const NodePointer node = FindLocked(path);
  if (node == nullptr) return NotFound(path);
  return FileInfo{LastPart(path), node->data.size(), node->is_directory, node->modified};
}

Result<std::uint64_t> FakeFileSystem::FreeBytes(const std::string&) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t used = UsedLocked();
  return capacity_ > used ? capacity_ - used : 0;
}

void FakeFileSystem::KeepSomeLocked(base::Random& random) {
  // Every directory and file there is or was promised.
  std::vector<NodePointer> nodes = {root_};
  std::set<const Node*> known = {root_.get()};
  std::set<const Node*> alive;  // Has a name now.
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const NodePointer node = nodes[i];
    for (const auto* entries : {&node->entries, &node->synced_entries}) {
      for (const auto& [name, entry] : *entries) {
        if (entries == &node->entries) alive.insert(entry.get());
        if (known.insert(entry.get()).second) nodes.push_back(entry);
      }
    }
  }
  // Names that are new survived, or did not.
  std::set<const Node*> placed;
  for (const NodePointer& node : nodes) {
    for (const auto& [name, entry] : node->entries) {
      NodePointer& kept = node->synced_entries[name];
      if (kept != entry && random.Below(2) == 0) kept = entry;
      if (kept == entry) placed.insert(entry.get());
    }
    std::erase_if(node->synced_entries, [](const auto& entry) { return entry.second == nullptr; });
  }
  // Names that went are gone, or are not; but a rename is never half done such that a file has
  // neither its old name nor its new one.
  for (const NodePointer& node : nodes) {
    std::erase_if(node->synced_entries, [&](const auto& entry) {
      if (node->entries.contains(entry.first)) return false;
      const bool may_go =
          !alive.contains(entry.second.get()) || placed.contains(entry.second.get());
      return may_go && random.Below(2) == 0;
    });
    if (!node->is_directory && node->data.size() > node->synced_data.size()) {
      const std::size_t synced = node->synced_data.size();
      const std::size_t kept =
          synced + static_cast<std::size_t>(random.Below(node->data.size() - synced + 1));
      node->synced_data.assign(node->data.begin(),
                               node->data.begin() + static_cast<std::ptrdiff_t>(kept));
    }
  }
}

void FakeFileSystem::ForgetLocked() {
  std::vector<NodePointer> left = {root_};
  while (!left.empty()) {
    const NodePointer node = left.back();
    left.pop_back();
    node->entries = node->synced_entries;
    node->data = node->synced_data;
    for (const auto& [name, entry] : node->entries) left.push_back(entry);
  }
  ++era_;
  power_is_off_ = false;
  power_off_at_.reset();
}

void FakeFileSystem::Crash() {
  const std::lock_guard lock(mutex_);
  ForgetLocked();
}

void FakeFileSystem::Crash(std::uint64_t seed) {
  const std::lock_guard lock(mutex_);
  base::Random random(seed);
  KeepSomeLocked(random);
  ForgetLocked();
}

void FakeFileSystem::PowerOffAt(int count) {
  const std::lock_guard lock(mutex_);
  power_off_at_ = operations_ + count;
}

bool FakeFileSystem::power_is_off() const {
  const std::lock_guard lock(mutex_);
  return power_is_off_;
}

int FakeFileSystem::operations() const {
  const std::lock_guard lock(mutex_);
  return operations_;
}

void FakeFileSystem::SetFault(Fault fault) {
  const std::lock_guard lock(mutex_);
  fault_ = std::move(fault);
}

void FakeFileSystem::SetCapacity(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  capacity_ = bytes;
}

void FakeFileSystem::SetTime(base::Time now) {
  const std::lock_guard lock(mutex_);
  now_ = now;
}

void FakeFileSystem::FlipBit(const std::string& path, std::uint64_t byte, int bit) {
  const std::lock_guard lock(mutex_);
  const NodePointer node = FindLocked(path);
  CHECK(node != nullptr && byte < node->data.size());
  std::uint8_t& value = node->data[static_cast<std::size_t>(byte)];
  value = static_cast<std::uint8_t>(value ^ (1u << bit));
  node->synced_data = node->data;
}

void FakeFileSystem::Truncate(const std::string& path, std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  const NodePointer node = FindLocked(path);
  CHECK(node != nullptr && bytes <= node->data.size());
  node->data.resize(static_cast<std::size_t>(bytes));
  node->synced_data = node->data;
}

void FakeFileSystem::Write(const std::string& path, ByteView bytes) {
  const std::lock_guard lock(mutex_);
  CHECK(MakeDirectoriesLocked(std::string(base::FolderOf(path))).ok());
  const NodePointer directory = FindLocked(std::string(base::FolderOf(path)));
  const NodePointer node = std::make_shared<Node>();
  node->data.assign(bytes.begin(), bytes.end());
  node->synced_data = node->data;
  node->modified = now_;
  directory->entries[LastPart(path)] = node;
  directory->synced_entries[LastPart(path)] = node;
}

}  // namespace tests
