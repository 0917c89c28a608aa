import { useMutation, useQueryClient } from '@tanstack/react-query';
import { ask, client } from '@/lib/api/client';

export function useRequestSamples(eventId: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (samples: number) =>
      ask(
        client.POST('/api/v1/drift-events/{event_id}/request-samples', {
          params: { path: { event_id: eventId } },
          body: { samples },
        }),
      ),
    // Refused or not: somebody else may have asked meanwhile.
    onSettled: () => queries.invalidateQueries({ queryKey: ['drift-events'] }),
  });
}
