import { infiniteQueryOptions } from '@tanstack/react-query';
import { ask, client } from '@/lib/api/client';
import { keys } from '@/lib/api/keys';

export const timelineQuery = (deviceId: string) =>
  infiniteQueryOptions({
    queryKey: keys.timeline(deviceId),
    queryFn: ({ pageParam, signal }) =>
      ask(
        client.GET('/api/v1/devices/{device_id}/timeline', {
          params: { path: { device_id: deviceId }, query: { limit: 60, cursor: pageParam } },
          signal,
        }),
      ),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next ?? undefined,
  });
