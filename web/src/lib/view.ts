// The four faces of a view. Refreshing is no face: figures stay where they are while new ones come.

import type { UseQueryResult } from '@tanstack/react-query';

export type View<T> =
  | { face: 'loading' }
  | { face: 'failed'; message: string; retry: () => void }
  | { face: 'empty' }
  /** `problem`: the figures are good, but those of `at`, for the newest could not be had. */
  | { face: 'ready'; data: T; at: number; problem: string | null };

export function viewOf<T>(query: UseQueryResult<T>, isEmpty?: (data: T) => boolean): View<T> {
  if (query.data !== undefined) {
    if (isEmpty?.(query.data) && query.error === null) return { face: 'empty' };
    return {
      face: 'ready',
      data: query.data,
      at: query.dataUpdatedAt,
      problem: query.error === null ? null : query.error.message,
    };
  }
  if (query.error !== null && query.fetchStatus !== 'fetching') {
    return { face: 'failed', message: query.error.message, retry: () => void query.refetch() };
  }
  return { face: 'loading' };
}
