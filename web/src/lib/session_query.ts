import { queryOptions } from '@tanstack/react-query';
import { ask, client, isSignedOut } from '@/lib/api/client';
import { keys } from '@/lib/api/keys';
import type { Session } from '@/lib/api/types';

/** Who is signed in; null is nobody, which is an answer and no failure. */
export const sessionQuery = queryOptions({
  queryKey: keys.session,
  queryFn: async ({ signal }): Promise<Session | null> => {
    try {
      return await ask(client.GET('/api/v1/session', { signal }));
    } catch (error) {
      if (isSignedOut(error)) return null;
      throw error;
    }
  },
  staleTime: 60_000,
});
