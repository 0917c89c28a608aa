#include "tinysphere/platform/s3/xml.h"

#include <pugixml.hpp>
#include <sstream>

#include "base/text.h"

namespace tinysphere::s3 {

using base::Error;
using base::ErrorCode;

namespace {

constexpr const char* kNamespace = "http://s3.amazonaws.com/doc/2006-03-01/";

// Some stores prefix the elements' names.
std::string_view LocalName(const pugi::xml_node& node) {
  const std::string_view name = node.name();
  const std::size_t colon = name.find(':');
  return colon == std::string_view::npos ? name : name.substr(colon + 1);
}

pugi::xml_node Child(const pugi::xml_node& node, std::string_view name) {
  return node.find_child([&](const pugi::xml_node& child) { return LocalName(child) == name; });
}

std::string Text(const pugi::xml_node& node, std::string_view name) {
  return Child(node, name).text().get();
}

base::Result<pugi::xml_node> Load(pugi::xml_document& document, std::string_view body,
                                  std::string_view root) {
  const pugi::xml_parse_result parsed = document.load_buffer(body.data(), body.size());
  if (!parsed) {
    return Error{ErrorCode::kUnavailable,
                 base::StrCat("the answer is no XML (", parsed.description(), ")")};
  }
  const pugi::xml_node node = Child(document, root);
  if (!node) return Error{ErrorCode::kUnavailable, base::StrCat("the answer is no ", root)};
  return node;
}

StoreError ErrorOf(const pugi::xml_node& node) {
  return {.code = Text(node, "Code"), .message = Text(node, "Message")};
}

std::string Write(const pugi::xml_document& document) {
  std::ostringstream out;
  document.save(out, "", pugi::format_raw | pugi::format_no_declaration);
  return out.str();
}

pugi::xml_node Root(pugi::xml_document& document, const char* name) {
  pugi::xml_node root = document.append_child(name);
  root.append_attribute("xmlns") = kNamespace;
  return root;
}

void Append(pugi::xml_node& parent, const char* name, const std::string& text) {
  parent.append_child(name).text().set(text.c_str());
}

}  // namespace

std::optional<StoreError> ReadError(std::string_view body) {
  pugi::xml_document document;
  const auto root = Load(document, body, "Error");
  if (!root.ok()) return std::nullopt;
  return ErrorOf(*root);
}

base::Result<ListPage> ReadListPage(std::string_view body) {
  pugi::xml_document document;
  ASSIGN_OR_RETURN(const pugi::xml_node root, Load(document, body, "ListBucketResult"));
  ListPage page;
  for (const pugi::xml_node& node : root.children()) {
    if (LocalName(node) != "Contents") continue;
    ListedObject object;
    object.key = Text(node, "Key");
    const auto bytes = base::ParseInt(Text(node, "Size"));
    if (!bytes.ok() || *bytes < 0) {
      return Error{ErrorCode::kUnavailable, "the answer lists an object without a size"};
    }
    object.bytes = static_cast<std::uint64_t>(*bytes);
    const auto modified = base::ParseTime(Text(node, "LastModified"));
    if (!modified.ok()) {
      return Error{ErrorCode::kUnavailable, "the answer lists an object without a time"};
    }
    object.modified = *modified;
    page.objects.push_back(std::move(object));
  }
  if (Text(root, "IsTruncated") == "true") {
    page.continuation = Text(root, "NextContinuationToken");
    if (page.continuation.empty()) {
      return Error{ErrorCode::kUnavailable, "the answer is cut and does not say how to go on"};
    }
  }
  return page;
}

base::Result<std::string> ReadUploadId(std::string_view body) {
  pugi::xml_document document;
  ASSIGN_OR_RETURN(const pugi::xml_node root,
                   Load(document, body, "InitiateMultipartUploadResult"));
  std::string id = Text(root, "UploadId");
  if (id.empty()) return Error{ErrorCode::kUnavailable, "the answer names no upload"};
  return id;
}

base::Result<std::vector<std::pair<std::string, StoreError>>> ReadDeleteErrors(
    std::string_view body) {
  pugi::xml_document document;
  ASSIGN_OR_RETURN(const pugi::xml_node root, Load(document, body, "DeleteResult"));
  std::vector<std::pair<std::string, StoreError>> errors;
  for (const pugi::xml_node& node : root.children()) {
    if (LocalName(node) == "Error") errors.emplace_back(Text(node, "Key"), ErrorOf(node));
  }
  return errors;
}

std::string WriteDelete(std::span<const std::string> keys) {
  pugi::xml_document document;
  pugi::xml_node root = Root(document, "Delete");
  for (const std::string& key : keys) {
    pugi::xml_node object = root.append_child("Object");
    Append(object, "Key", key);
  }
  Append(root, "Quiet", "true");
  return Write(document);
}

std::string WriteComplete(std::span<const std::string> etags) {
  pugi::xml_document document;
  pugi::xml_node root = Root(document, "CompleteMultipartUpload");
  int number = 0;
  for (const std::string& etag : etags) {
    pugi::xml_node part = root.append_child("Part");
    Append(part, "PartNumber", std::to_string(++number));
    Append(part, "ETag", etag);
  }
  return Write(document);
}

std::string WriteCreateBucket(std::string_view region) {
  pugi::xml_document document;
  pugi::xml_node root = Root(document, "CreateBucketConfiguration");
  Append(root, "LocationConstraint", std::string(region));
  return Write(document);
}

}  // namespace tinysphere::s3
