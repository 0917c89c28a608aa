import { useMutation, useQueryClient } from '@tanstack/react-query';
import { ask, client } from '@/lib/api/client';
import { keys } from '@/lib/api/keys';
import type { RolloutRequest } from '@/lib/api/types';

export function useStartRollout() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (body: RolloutRequest) => ask(client.POST('/api/v1/rollouts', { body })),
    onSuccess: () => {
      for (const queryKey of [keys.rollouts, keys.models, keys.devices, keys.overview]) {
        void queries.invalidateQueries({ queryKey });
      }
    },
  });
}
