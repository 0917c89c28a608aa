// Names under which answers are kept. A name is a path: making ['devices'] stale makes
// ['devices', id] stale too.

export const keys = {
  session: ['session'] as const,
  overview: ['overview'] as const,
  devices: ['devices'] as const,
  device: (id: string) => ['devices', id] as const,
  timeline: (id: string) => ['timeline', id] as const,
  metrics: (id: string, range: string) => ['metrics', id, range] as const,
  adaptations: (id: string) => ['adaptations', id] as const,
  transitions: (id: string) => ['transitions', id] as const,
  driftEvents: (state: string) => ['drift-events', 'list', state] as const,
  driftEvent: (id: string) => ['drift-events', 'one', id] as const,
  models: ['models'] as const,
  rollouts: ['rollouts'] as const,
  learned: ['learned-versions'] as const,
};

/** What each kind of server-sent event makes stale. */
export const staleAfter = {
  device: [['devices'], ['overview'], ['timeline']],
  drift_event: [['drift-events'], ['devices'], ['overview'], ['timeline']],
  package: [['overview'], ['metrics'], ['devices'], ['timeline'], ['adaptations'], ['transitions'], ['learned-versions']],
  feedback: [['drift-events'], ['devices'], ['overview'], ['timeline'], ['adaptations']],
  rollout: [['rollouts'], ['models'], ['learned-versions'], ['devices'], ['overview'], ['timeline']],
  overview: [['overview']],
} as const satisfies Record<string, readonly (readonly string[])[]>;

export type LiveEvent = keyof typeof staleAfter;
