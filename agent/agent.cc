#include "agent/agent.h"

#include "agent/agent_impl.h"
#include "agent/heap.h"
#include "base/folder_lock.h"
#include "base/private_folder.h"

namespace agent {

Status RunAgent(const Config& config, const ConfigReader& reread, base::FileSystem& fs,
                base::Clock& clock, base::Logger& logger, Signals& signals) {
  KeepHeapSmall();
  RETURN_IF_ERROR(base::MakePrivateFolder(config.data));
  ASSIGN_OR_RETURN(const base::FolderLock lock, base::FolderLock::Take(config.data, "agent"));
  Agent agent(config, reread, fs, clock, logger);
  RETURN_IF_ERROR(agent.Open());
  return agent.Run(signals);
}

}  // namespace agent
