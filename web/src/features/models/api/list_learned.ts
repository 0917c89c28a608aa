import { queryOptions } from '@tanstack/react-query';
import { ask, client } from '@/lib/api/client';
import { keys } from '@/lib/api/keys';

export const learnedQuery = queryOptions({
  queryKey: keys.learned,
  queryFn: ({ signal }) => ask(client.GET('/api/v1/learned-versions', { params: { query: { limit: 50 } }, signal })),
});
