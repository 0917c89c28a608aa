import { queryOptions } from '@tanstack/react-query';
import { ask, client } from '@/lib/api/client';
import { keys } from '@/lib/api/keys';
import type { Device } from '@/lib/api/types';

// More than this are filtered by the server, not scrolled by a person.
const PAGES_MAX = 4;

export const devicesQuery = queryOptions({
  queryKey: keys.devices,
  queryFn: async ({ signal }): Promise<{ items: Device[]; isWhole: boolean }> => {
    const items: Device[] = [];
    let cursor: string | undefined;
    for (let page = 0; page < PAGES_MAX; page += 1) {
      // Each page's cursor is in the one before it.
      // oxlint-disable-next-line no-await-in-loop
      const answer = await ask(client.GET('/api/v1/devices', { params: { query: { limit: 500, cursor } }, signal }));
      items.push(...answer.items);
      if (answer.next === null) return { items, isWhole: true };
      cursor = answer.next;
    }
    return { items, isWhole: false };
  },
});
