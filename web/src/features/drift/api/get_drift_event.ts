import { queryOptions } from '@tanstack/react-query';
import { ask, client } from '@/lib/api/client';
import { keys } from '@/lib/api/keys';

export const driftEventQuery = (eventId: string) =>
  queryOptions({
    queryKey: keys.driftEvent(eventId),
    queryFn: ({ signal }) =>
      ask(client.GET('/api/v1/drift-events/{event_id}', { params: { path: { event_id: eventId } }, signal })),
  });
