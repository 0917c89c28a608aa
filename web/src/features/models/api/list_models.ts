import { queryOptions } from '@tanstack/react-query';
import { ask, client } from '@/lib/api/client';
import { keys } from '@/lib/api/keys';

export const modelsQuery = queryOptions({
  queryKey: keys.models,
  queryFn: ({ signal }) => ask(client.GET('/api/v1/models', { params: { query: { limit: 200 } }, signal })),
});
