#include "tinysphere/store/schema.h"

#include <array>

#include "tinysphere/store/migrations/0001_first.h"
#include "tinysphere/store/migrations/0002_desired_mode.h"
#include "tinysphere/store/migrations/0003_adaptations.h"
#include "tinysphere/store/migrations/0004_more_samples.h"
#include "tinysphere/store/migrations/0005_partitions.h"
#include "tinysphere/store/migrations/0006_series.h"
#include "tinysphere/store/migrations/0007_experiments.h"
#include "tinysphere/store/migrations/0008_legacy.h"
#include "tinysphere/store/migrations/0009_operations.h"

namespace tinysphere::store {

namespace {

constexpr std::array kMigrations = {
    Migration{.number = 1, .name = "first", .sql = migrations::kFirst},
    Migration{.number = 2, .name = "desired mode", .sql = migrations::kDesiredMode},
    Migration{.number = 3, .name = "adaptations", .sql = migrations::kAdaptations},
    Migration{.number = 4, .name = "more samples", .sql = migrations::kMoreSamples},
    Migration{.number = 5,
              .name = "partitions",
              .sql = migrations::kPartitions,
              .postgres = migrations::kPartitionsOnPostgres},
    Migration{.number = 6, .name = "series", .sql = migrations::kSeries},
    Migration{.number = 7, .name = "experiments", .sql = migrations::kExperiments},
    Migration{.number = 8, .name = "legacy", .sql = migrations::kLegacy},
    Migration{.number = 9, .name = "operations", .sql = migrations::kOperations},
};

}  // namespace

std::span<const Migration> Migrations() { return kMigrations; }

}  // namespace tinysphere::store
