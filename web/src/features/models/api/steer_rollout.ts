import { useMutation, useQueryClient } from '@tanstack/react-query';
import { ask, client } from '@/lib/api/client';
import { keys } from '@/lib/api/keys';

export type Steering = 'pause' | 'resume' | 'halt';

export function useSteerRollout(rolloutId: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (steering: Steering) => {
      const params = { path: { rollout_id: rolloutId } };
      switch (steering) {
        case 'pause':
          return ask(client.POST('/api/v1/rollouts/{rollout_id}/pause', { params }));
        case 'resume':
          return ask(client.POST('/api/v1/rollouts/{rollout_id}/resume', { params }));
        case 'halt':
          return ask(client.POST('/api/v1/rollouts/{rollout_id}/halt', { params }));
      }
    },
    onSettled: () => queries.invalidateQueries({ queryKey: keys.rollouts }),
  });
}
