import { queryOptions } from '@tanstack/react-query';
import { ask, client } from '@/lib/api/client';
import { keys } from '@/lib/api/keys';

export type EventFilter = 'open' | 'answered' | 'all';

export const driftEventsQuery = (state: EventFilter) =>
  queryOptions({
    queryKey: keys.driftEvents(state),
    queryFn: ({ signal }) =>
      ask(client.GET('/api/v1/drift-events', { params: { query: { state, limit: 200 } }, signal })),
  });
