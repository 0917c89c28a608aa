import { queryOptions } from '@tanstack/react-query';
import { ask, client } from '@/lib/api/client';
import { keys } from '@/lib/api/keys';

export const deviceQuery = (deviceId: string) =>
  queryOptions({
    queryKey: keys.device(deviceId),
    queryFn: ({ signal }) =>
      ask(client.GET('/api/v1/devices/{device_id}', { params: { path: { device_id: deviceId } }, signal })),
  });
