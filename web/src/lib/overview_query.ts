import { queryOptions } from '@tanstack/react-query';
import { ask, client } from '@/lib/api/client';
import { keys } from '@/lib/api/keys';

export const overviewQuery = queryOptions({
  queryKey: keys.overview,
  queryFn: ({ signal }) => ask(client.GET('/api/v1/overview', { signal })),
});
