// An agent's configuration: any text is a configuration or an error that says what is wrong.

#include "agent/config.h"
#include "tests/fuzz/fuzz.h"

FUZZ(bytes) {
  const auto config = agent::ParseConfig(base::AsText(bytes), "agent.json");
  if (!config.ok()) REQUIRE(!config.error().message.empty());
}
