// What MLflow takes as a name and as a value, judged here, before it is sent.
//
// MLflow 3.17 answers 200 and stores something else: a metric that is no number becomes 0, an
// unknown status is ignored, a long parameter is cut. So nothing leaves that it would damage. Names
// of ours that it would refuse are mapped; two names never become one.
//
// Source: mlflow/utils/validation.py of 3.17.2, and what a real server answered
// (data/mlflow_contract).

#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tinysphere::mlflow {

// In characters, not bytes.
inline constexpr std::size_t kNameMax = 250;  // Of a parameter, metric or tag.
inline constexpr std::size_t kParamMax = 6000;
inline constexpr std::size_t kTagMax = 8000;
inline constexpr std::size_t kExperimentNameMax = 500;
inline constexpr std::size_t kModelNameMax = 256;
inline constexpr std::size_t kAliasMax = 255;
inline constexpr std::size_t kDatasetNameMax = 500;
inline constexpr std::size_t kDatasetDigestMax = 36;

// Each is kInvalidArgument that says what is wrong with which.
base::Status CheckName(std::string_view kind, std::string_view name);  // Parameter, metric, tag.
base::Status CheckText(std::string_view kind, std::string_view text, std::size_t characters_max);
base::Status CheckExperimentName(std::string_view name);
base::Status CheckModelName(std::string_view name);        // Registered: no '/' and ':'.
base::Status CheckLoggedModelName(std::string_view name);  // Also no '.', '%' and quotes.
base::Status CheckAlias(std::string_view alias);
base::Status CheckRunStatus(std::string_view status);
// Below an artifact folder: relative, nothing that climbs.
base::Status CheckArtifactPath(std::string_view path);
// For what stands between quotes in a search filter.
base::Status CheckFilterValue(std::string_view value);

// Any text as a name that CheckName takes. One that had to be changed carries a part of its digest.
std::string ToName(std::string_view text);
std::string ToLoggedModelName(std::string_view text);
// The text, or its beginning and how much of it is missing.
std::string Shorten(std::string_view text, std::size_t characters_max);

std::size_t CountCharacters(std::string_view utf8);

}  // namespace tinysphere::mlflow
