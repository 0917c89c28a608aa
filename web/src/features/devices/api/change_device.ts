import { useMutation, useQueryClient } from '@tanstack/react-query';
import { ask, client } from '@/lib/api/client';
import { keys } from '@/lib/api/keys';
import type { Mode } from '@/lib/api/types';

export type DeviceChange = { kind: 'accept' } | { kind: 'revoke' } | { kind: 'decommission' } | { kind: 'name'; name: string } | { kind: 'mode'; mode: Mode | null };

function send(deviceId: string, change: DeviceChange) {
  const params = { path: { device_id: deviceId } };
  switch (change.kind) {
    case 'accept':
      return ask(client.POST('/api/v1/devices/{device_id}/accept', { params }));
    case 'revoke':
      return ask(client.POST('/api/v1/devices/{device_id}/revoke', { params }));
    case 'decommission':
      return ask(client.POST('/api/v1/devices/{device_id}/decommission', { params }));
    case 'name':
      return ask(client.POST('/api/v1/devices/{device_id}/name', { params, body: { name: change.name } }));
    case 'mode':
      return ask(client.POST('/api/v1/devices/{device_id}/mode', { params, body: { mode: change.mode } }));
  }
}

export function useChangeDevice(deviceId: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (change: DeviceChange) => send(deviceId, change),
    onSuccess: (device) => {
      queries.setQueryData(keys.device(deviceId), device);
      void queries.invalidateQueries({ queryKey: keys.devices });
      void queries.invalidateQueries({ queryKey: keys.overview });
    },
  });
}
