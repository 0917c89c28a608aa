import { queryOptions } from '@tanstack/react-query';
import { ask, client } from '@/lib/api/client';
import { keys } from '@/lib/api/keys';

export const rolloutsQuery = queryOptions({
  queryKey: keys.rollouts,
  queryFn: ({ signal }) => ask(client.GET('/api/v1/rollouts', { params: { query: { limit: 50 } }, signal })),
});
