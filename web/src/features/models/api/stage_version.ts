import { useMutation, useQueryClient } from '@tanstack/react-query';
import { ask, client } from '@/lib/api/client';
import { keys } from '@/lib/api/keys';
import type { ModelVersion } from '@/lib/api/types';

export function useStageVersion(version: ModelVersion) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (stage: ModelVersion['stage']) =>
      ask(
        client.POST('/api/v1/models/{name}/versions/{version}/stage', {
          params: { path: { name: version.name, version: version.version } },
          body: { stage },
        }),
      ),
    onSuccess: () => queries.invalidateQueries({ queryKey: keys.models }),
  });
}
