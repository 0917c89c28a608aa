import { useMutation, useQueryClient } from '@tanstack/react-query';
import { ask, client } from '@/lib/api/client';
import type { Adaptation, AdaptationOrder } from '@/lib/api/types';

export function useOrderAdaptation(adaptation: Adaptation) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (order: AdaptationOrder) =>
      ask(
        client.POST('/api/v1/devices/{device_id}/adaptations/{adaptation_sha256}/order', {
          params: {
            path: { device_id: adaptation.device_id, adaptation_sha256: adaptation.adaptation_sha256 ?? '' },
          },
          body: { order },
        }),
      ),
    // Refused or not: what may be ordered may have changed meanwhile.
    onSettled: () => {
      for (const name of ['adaptations', 'drift-events', 'devices', 'timeline']) {
        void queries.invalidateQueries({ queryKey: [name] });
      }
    },
  });
}
