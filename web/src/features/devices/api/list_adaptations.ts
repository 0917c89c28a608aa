import { queryOptions } from '@tanstack/react-query';
import { ask, client } from '@/lib/api/client';
import { keys } from '@/lib/api/keys';

export const adaptationsQuery = (deviceId: string) =>
  queryOptions({
    queryKey: keys.adaptations(deviceId),
    queryFn: ({ signal }) =>
      ask(
        client.GET('/api/v1/devices/{device_id}/adaptations', {
          params: { path: { device_id: deviceId }, query: { limit: 20 } },
          signal,
        }),
      ),
  });
