import { MutationCache, QueryCache, QueryClient } from '@tanstack/react-query';
import { ApiError, isSignedOut } from '@/lib/api/client';
import { keys } from '@/lib/api/keys';

/** `onSignedOut` is called when an answer says that the session is over. */
export function makeQueries(onSignedOut: () => void): QueryClient {
  const notice = (error: unknown) => {
    if (!isSignedOut(error) || queries.getQueryData(keys.session) === null) return;
    // Nothing to end while nobody is signed in: a wrong password is a 401 too.
    if (queries.getQueryData(keys.session) === undefined) return;
    queries.setQueryData(keys.session, null);
    onSignedOut();
  };
  const queries: QueryClient = new QueryClient({
    queryCache: new QueryCache({ onError: notice }),
    mutationCache: new MutationCache({ onError: notice }),
    defaultOptions: {
      queries: {
        // The live wire says what is stale; this is the answer to a wire that was cut unnoticed.
        refetchInterval: 30_000,
        staleTime: 5_000,
        // An answer that says no will say no again. No answer may be a moment's matter.
        retry: (failures, error) =>
          failures < 2 && !(error instanceof ApiError && error.status >= 400 && error.status < 500),
        // A query started offline waits for ever by default and shows nothing; ask and say so.
        networkMode: 'always',
      },
      mutations: { networkMode: 'always' },
    },
  });
  return queries;
}
