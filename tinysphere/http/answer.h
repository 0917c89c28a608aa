// Answer: a handler's document, or why there is none, as a response.

#pragma once

#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "tinysphere/http/message.h"

namespace tinysphere::http {

inline base::Result<Response> Answer(const base::Result<base::Json>& document, int status = 200) {
  if (!document.ok()) return document.error();
  return Response::Json(status, *document);
}

// What a stored document holds under `key`; null if it does not.
inline base::Json FieldOrNull(const base::Json& document, std::string_view key) {
  const base::Json* field = document.Find(key);
  return field == nullptr ? base::Json() : *field;
}

}  // namespace tinysphere::http
