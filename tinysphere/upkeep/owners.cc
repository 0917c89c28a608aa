#include "tinysphere/upkeep/owners.h"

#include "tinysphere/store/object_key.h"

namespace tinysphere::upkeep {

std::string_view OwnerOf(std::string_view object_key) {
  const std::size_t first = object_key.find('/');
  if (first == std::string_view::npos) return {};
  const std::size_t second = object_key.find('/', first + 1);
  if (second == std::string_view::npos) return {};
  return object_key.substr(first + 1, second - first - 1);
}

base::Result<std::map<std::string, std::string>> ReadOwners(store::Database& database) {
  std::map<std::string, std::string> owners;
  std::string after;
  while (true) {
    ASSIGN_OR_RETURN(const store::Rows rows,
                     database.Query("SELECT device_id FROM devices WHERE device_id > $1 "
                                    "ORDER BY device_id LIMIT 1000",
                                    {after}));
    for (const store::Row& row : rows) {
      after = row.Text("device_id");
      owners[store::IdKeyPart(after)] = after;
    }
    if (rows.size() < 1000) return owners;
  }
}

}  // namespace tinysphere::upkeep
