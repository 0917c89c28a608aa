#include "tinysphere/store/counted_objects.h"

#include <chrono>
#include <utility>

namespace tinysphere::store {

namespace {

// One kind of operation.
class Operation {
 public:
  Operation(telemetry::Telemetry& telemetry, const char* name)
      : done_(Make(telemetry, name, "done")),
        not_found_(Make(telemetry, name, "not_found")),
        full_(Make(telemetry, name, "full")),
        failed_(Make(telemetry, name, "failed")),
        seconds_(telemetry.MakeHistogram("tinysphere_objects_operation_seconds",
                                         "How long the object store took.", {{"operation", name}},
                                         telemetry::SecondsBounds())) {}

  template <typename F>
  auto Run(F operation) {
    const auto begun = std::chrono::steady_clock::now();
    auto answer = operation();
    seconds_.Observe(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count());
    Count(answer.ok() ? nullptr : &answer.error());
    return answer;
  }

 private:
  static telemetry::Counter& Make(telemetry::Telemetry& telemetry, const char* name,
                                  const char* outcome) {
    return telemetry.MakeCounter("tinysphere_objects_operations_total",
                                 "What was asked of the object store.",
                                 {{"operation", name}, {"outcome", outcome}});
  }
  void Count(const base::Error* error) {
    if (!error) {
      done_.Add();
    } else if (error->code == base::ErrorCode::kNotFound) {
      not_found_.Add();
    } else if (error->code == base::ErrorCode::kExhausted) {
      full_.Add();
    } else {
      failed_.Add();
    }
  }

  telemetry::Counter& done_;
  telemetry::Counter& not_found_;
  telemetry::Counter& full_;
  telemetry::Counter& failed_;
  telemetry::Histogram& seconds_;
};

// Counted where it is committed: until then nothing was asked of the store.
class CountedWriter final : public ObjectWriter {
 public:
  CountedWriter(std::unique_ptr<ObjectWriter> writer, Operation& put)
      : writer_(std::move(writer)), put_(put) {}
  base::Status Append(base::ByteView bytes) override { return writer_->Append(bytes); }
  base::Status Commit() override {
    return put_.Run([&] { return writer_->Commit(); });
  }

 private:
  std::unique_ptr<ObjectWriter> writer_;
  Operation& put_;
};

class CountedObjects final : public ObjectStore {
 public:
  CountedObjects(std::unique_ptr<ObjectStore> objects, telemetry::Telemetry& telemetry)
      : objects_(std::move(objects)),
        put_(telemetry, "put"),
        adopt_(telemetry, "adopt"),
        get_(telemetry, "get"),
        delete_(telemetry, "delete"),
        exists_(telemetry, "exists"),
        list_(telemetry, "list"),
        check_(telemetry, "check") {}

  base::Result<std::unique_ptr<ObjectWriter>> Put(const std::string& key) override {
    ASSIGN_OR_RETURN(auto writer, objects_->Put(key));
    return std::unique_ptr<ObjectWriter>(std::make_unique<CountedWriter>(std::move(writer), put_));
  }
  base::Status Adopt(const std::string& key, const std::string& path) override {
    return adopt_.Run([&] { return objects_->Adopt(key, path); });
  }
  base::Result<std::string> Keep(const std::string& key, base::ByteView bytes) override {
    return put_.Run([&] { return objects_->Keep(key, bytes); });
  }
  base::Result<std::unique_ptr<base::ReadableFile>> Get(const std::string& key) override {
    return get_.Run([&] { return objects_->Get(key); });
  }
  base::Status Delete(const std::string& key) override {
    return delete_.Run([&] { return objects_->Delete(key); });
  }
  base::Result<bool> Exists(const std::string& key) override {
    return exists_.Run([&] { return objects_->Exists(key); });
  }
  base::Result<std::vector<ObjectInfo>> List(const std::string& prefix, const std::string& after,
                                             std::size_t limit) override {
    return list_.Run([&] { return objects_->List(prefix, after, limit); });
  }
  base::Status DeleteAll(std::span<const std::string> keys) override {
    return delete_.Run([&] { return objects_->DeleteAll(keys); });
  }
  base::Result<std::optional<std::string>> Presign(const std::string& key, Presigned what,
                                                   base::Duration life) override {
    return objects_->Presign(key, what, life);  // Nothing is asked of the store.
  }
  base::Status Check() override {
    return check_.Run([&] { return objects_->Check(); });
  }

 private:
  std::unique_ptr<ObjectStore> objects_;
  Operation put_;
  Operation adopt_;
  Operation get_;
  Operation delete_;
  Operation exists_;
  Operation list_;
  Operation check_;
};

}  // namespace

std::unique_ptr<ObjectStore> CountObjects(std::unique_ptr<ObjectStore> objects,
                                          telemetry::Telemetry& telemetry) {
  return std::make_unique<CountedObjects>(std::move(objects), telemetry);
}

}  // namespace tinysphere::store
