import { infiniteQueryOptions } from '@tanstack/react-query';
import { ask, client } from '@/lib/api/client';
import { keys } from '@/lib/api/keys';

export const transitionsQuery = (deviceId: string) =>
  infiniteQueryOptions({
    queryKey: keys.transitions(deviceId),
    queryFn: ({ pageParam, signal }) =>
      ask(
        client.GET('/api/v1/devices/{device_id}/transitions', {
          params: { path: { device_id: deviceId }, query: { limit: 40, cursor: pageParam } },
          signal,
        }),
      ),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next ?? undefined,
  });
