import { queryOptions } from '@tanstack/react-query';
import { ask, client } from '@/lib/api/client';
import { keys } from '@/lib/api/keys';

export const ranges = { '15 min': 15 * 60, '1 h': 3600, '24 h': 24 * 3600, '7 d': 7 * 24 * 3600 } as const;
export type Range = keyof typeof ranges;

export const metricsQuery = (deviceId: string, range: Range) =>
  queryOptions({
    queryKey: keys.metrics(deviceId, range),
    queryFn: async ({ signal }) => {
      const since = new Date(Date.now() - ranges[range] * 1000).toISOString();
      const answer = await ask(
        client.GET('/api/v1/devices/{device_id}/metrics', {
          params: { path: { device_id: deviceId }, query: { since } },
          signal,
        }),
      );
      return answer.points;
    },
    // Another range shows the old one's figures until its own are there.
    placeholderData: (previous) => previous,
  });
