// One clock for every "40 s ago" on the page; it ticks once in five seconds.

import { useSyncExternalStore } from 'react';

const TICK_MS = 5000;
let now = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;
const listeners = new Set<() => void>();

function subscribe(listener: () => void) {
  listeners.add(listener);
  timer ??= setInterval(() => {
    now = Date.now();
    for (const each of listeners) each();
  }, TICK_MS);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

export function useNow(): number {
  return useSyncExternalStore(subscribe, () => {
    // A page opened long after the last tick must not begin with an old time.
    if (Date.now() - now > TICK_MS) now = Date.now();
    return now;
  });
}
