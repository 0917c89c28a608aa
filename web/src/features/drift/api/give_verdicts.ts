import { useMutation, useQueryClient } from '@tanstack/react-query';
import { ask, client } from '@/lib/api/client';
import type { Verdicts } from '@/lib/api/types';

export function useGiveVerdicts(eventId: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (body: Verdicts) =>
      ask(client.POST('/api/v1/drift-events/{event_id}/verdicts', { params: { path: { event_id: eventId } }, body })),
    // Waits for the event itself, so that the screen never shows a label as unsent that was sent.
    onSuccess: async () => {
      void queries.invalidateQueries({ queryKey: ['overview'] });
      await queries.invalidateQueries({ queryKey: ['drift-events'] });
    },
  });
}
