// The live wire: one EventSource that says what became stale. The data always comes by the ordinary
// requests, so a lost event costs freshness, never correctness.

import type { QueryClient } from '@tanstack/react-query';
import { useSyncExternalStore } from 'react';
import { type LiveEvent, staleAfter } from '@/lib/api/keys';

export type LiveState = 'connecting' | 'live' | 'lost';

// A burst of packages must not become a burst of requests.
const GATHER_MS = 600;

let state: LiveState = 'connecting';
const listeners = new Set<() => void>();

function setState(next: LiveState) {
  if (next === state) return;
  state = next;
  for (const listener of listeners) listener();
}

export function useLiveState(): LiveState {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => state,
  );
}

/** Listens until the returned function is called. */
export function listen(queries: QueryClient, url = '/api/v1/events'): () => void {
  let stale = new Set<string>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let source: EventSource | undefined;
  let wasLost = false;

  const refresh = () => {
    timer = undefined;
    const paths = [...stale];
    stale = new Set();
    for (const path of paths) void queries.invalidateQueries({ queryKey: [path] });
  };
  const mark = (event: LiveEvent) => {
    for (const [path] of staleAfter[event]) stale.add(path);
    timer ??= setTimeout(refresh, GATHER_MS);
  };

  const connect = () => {
    source = new EventSource(url);
    source.onopen = () => {
      setState('live');
      // What was said while nobody listened is unknown, so everything may be stale.
      if (wasLost) void queries.invalidateQueries();
      wasLost = false;
    };
    source.onerror = () => {
      wasLost = true;
      setState('lost');
      // The browser tries again by itself, except after an answer that is no event stream.
      if (source?.readyState === EventSource.CLOSED) {
        clearTimeout(retry);
        retry = setTimeout(connect, 5000);
      }
    };
    for (const event of Object.keys(staleAfter) as LiveEvent[]) {
      source.addEventListener(event, () => mark(event));
    }
  };

  setState('connecting');
  connect();
  return () => {
    clearTimeout(timer);
    clearTimeout(retry);
    source?.close();
  };
}
