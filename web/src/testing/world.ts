// A small fleet that a test or a developer can look at and change: what the server would hold.
// Everything is made from a seed and from the time given.

import type {
  Adaptation,
  Device,
  DriftEventDetail,
  LearnedVersion,
  MetricPoint,
  Model,
  Overview,
  Rollout,
  Sample,
  Session,
  TimelineEntry,
  Transition,
  Verdicts,
} from '../lib/api/types';

export interface World {
  now: number;
  session: Session | null;
  devices: Device[];
  events: DriftEventDetail[];
  timeline: TimelineEntry[];
  models: Model[];
  rollouts: Rollout[];
  adaptations: Adaptation[];
  transitions: (Transition & { device_id: string; reported_at: string })[];
  learned: LearnedVersion[];
  overview: Overview;
  metrics: MetricPoint[];
  /** What was posted to the verdicts of each event. */
  given: { event_id: string; body: Verdicts }[];
  /** What was ordered of adaptations. */
  ordered: { adaptation_sha256: string; order: string }[];
}

export const digits = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'];

/** A mulberry32 generator: a seed gives the same numbers on every machine. */
function numbersFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const hex = (seed: number, length: number) => {
  const next = numbersFrom(seed);
  return Array.from({ length }, () => Math.floor(next() * 16).toString(16)).join('');
};

export function makeDevice(changes: Partial<Device> & { name: string }): Device {
  const id = `d-${hex(changes.name.length * 7 + changes.name.charCodeAt(0), 32)}`;
  return {
    device_id: id,
    state: 'active',
    online: true,
    last_seen: null,
    enrolled_at: '2026-11-20T08:00:00.000Z',
    agent_version: '1.0.0',
    model: { name: 'digits', version: '1.0.0', bundle: hex(3, 64) },
    model_family: 'digits-camera',
    desired: { version: '1.0.0', bundle: hex(3, 64) },
    in_sync: true,
    drift_state: 'stable',
    adaptation: null,
    awaits: null,
    mode: 'server_assisted',
    desired_mode: null,
    metrics: null,
    fingerprint: 'q3Jx0mZ9w2cB1vTn8yHkLrE5uAoPsDfGiXtYzQbWcVe',
    signed: true,
    ...changes,
  };
}

export function makeSample(index: number, changes: Partial<Sample> = {}): Sample {
  return {
    sample_id: `s-${index}`,
    index,
    prediction: '8',
    confidence: 0.41,
    reason: 'cluster_medoid',
    cluster_mass: 0.06,
    cluster_accuracy: null,
    novelty: null,
    neighbours: [
      { anchor: 12, label: '8', distance: 0.31 },
      { anchor: 40, label: '3', distance: 0.33 },
    ],
    media: 'image',
    row: null,
    verdict: null,
    outcome: null,
    ...changes,
  };
}

export function makeAdaptation(device: Device, changes: Partial<Adaptation> = {}): Adaptation {
  return {
    adaptation_id: `a-${device.name}`,
    device_id: device.device_id,
    device_name: device.name,
    received_at: '2026-11-21T09:59:00.000Z',
    sample_index: 2140,
    state: 'probation',
    event_id: `e-${device.name}`,
    feedback_id: null,
    hypothesis: 'flat_field',
    challenger: 'none',
    candidates: [
      { stage: 'hypothesis', name: 'identity', score: 0.61, distance_ratio: 1, verdict: 'rejected', reason: 'another is nearer to the anchors' },
      { stage: 'hypothesis', name: 'flat_field', score: 0.94, distance_ratio: 0.38, verdict: 'served', reason: 'nearest to the anchors' },
    ],
    labels: [],
    label_accuracy_before: 0.61,
    label_accuracy_after: 0.94,
    canary_before: 0.984,
    canary_after: 0.984,
    adaptation_sha256: hex(21, 64),
    champion_sha256: null,
    awaits: null,
    is_newest: true,
    may_be: ['roll_back'],
    transitions: [],
    text: 'A flat field puts the picture right: the quarantine lies at 0.38 of the distance it had to the known examples.',
    judgement: null,
    order: null,
    ...changes,
  };
}

export function makeEvent(device: Device, samples: Sample[], changes: Partial<DriftEventDetail> = {}): DriftEventDetail {
  return {
    event_id: `e-${device.name}`,
    device_id: device.device_id,
    device_name: device.name,
    received_at: '2026-11-21T09:58:00.000Z',
    state: 'open',
    sample_index: 1834,
    kind: 'abrupt',
    severity: { sigma: 2.4, accuracy_drop: null, interval: null },
    evidence: { log10_e: 6.2, target_samples: 1_000_000 },
    change_point: { sample_index: 1797, interval: [1790, 1803] },
    signals: [
      { name: 'anchor_distance', share: 0.71, shift_sigma: 2.4 },
      { name: 'margin', share: 0.2, shift_sigma: -1.1 },
      { name: 'class_mix', share: 0.09, shift_sigma: null },
    ],
    classes: [
      { label: '3', share: 0.42 },
      { label: '8', share: 0.31 },
      { label: '5', share: 0.18 },
    ],
    channels: [],
    text: 'Distances to the known examples rose 2.4 sigma 37 frames ago, most in classes 3 and 8.',
    suppressed_since_last: 0,
    model: device.model,
    labels: digits,
    opened: [],
    samples_total: samples.length,
    samples_labelled: 0,
    event_verdict: null,
    feedback: null,
    samples,
    more_samples: { asked: 0, is_awaited: false, left: 1000 },
    adaptations: [],
    reference_row_mean: null,
    reference_row_sd: null,
    ...changes,
  };
}

// A rough 3 on 8x8, so that a row looks like what a digit sensor gives.
const three = [
  0, 0.1, 0.7, 0.9, 0.8, 0.2, 0, 0, 0, 0.3, 0.8, 0.3, 0.8, 0.7, 0, 0, 0, 0, 0, 0.1, 0.8, 0.6, 0, 0, 0, 0, 0.3, 0.8, 0.9, 0.2, 0, 0,
  0, 0, 0.1, 0.3, 0.8, 0.8, 0.1, 0, 0, 0, 0, 0, 0.2, 0.9, 0.3, 0, 0, 0.3, 0.5, 0.4, 0.7, 0.9, 0.2, 0, 0, 0.1, 0.7, 0.9, 0.8, 0.3, 0, 0,
];
const aged = Array.from({ length: 16 }, (_, index) => 16 + index);

export function makeRowEvent(device: Device, count: number): DriftEventDetail {
  const next = numbersFrom(11);
  const rows = Array.from({ length: count }, (_, index) => {
    const row = three.map((value, channel) => {
      const noisy = value + (next() - 0.5) * 0.12;
      return aged.includes(channel) ? noisy * 0.3 + 1 : noisy;
    });
    return makeSample(2100 + index * 3, { sample_id: `r-${index}`, media: 'row', row, prediction: '1', confidence: 0.52 });
  });
  return makeEvent(device, rows, {
    kind: 'sensor_fault',
    severity: { sigma: 5.8, accuracy_drop: null, interval: null },
    channels: aged.map((index) => ({ index, name: `ch${index}`, shift_sigma: 4 + next() * 3 })),
    text: 'Distances to the known examples rose 5.8 sigma 21 rows ago in every class; channels 16 to 31 moved.',
    reference_row_mean: three.map((value) => value * 0.6 + 0.1),
    reference_row_sd: three.map((value) => 0.08 + value * 0.25),
  });
}

export function makeWorld(now: number): World {
  const before = (seconds: number) => new Date(now - seconds * 1000).toISOString();
  const next = numbersFrom(7);
  const figures = (changes: Partial<NonNullable<Device['metrics']>>): Device['metrics'] => ({
    at: before(8),
    frames: 18_234,
    fps: 29.8,
    accuracy_estimated: null,
    confidence_mean: 0.962,
    latency_ms_p50: 3.1,
    latency_ms_p95: 4.6,
    rss_bytes: 41_500_000,
    cpu_percent: 12.4,
    queue_packages: 0,
    queue_bytes: 0,
    skipped: 0,
    dropped: 0,
    ...changes,
  });

  const east = makeDevice({
    name: 'camera-east', last_seen: before(4), drift_state: 'probation',
    adaptation: { hypothesis: 'flat_field', challenger: 'none' },
    desired: { version: '1.1.0', bundle: hex(5, 64) }, in_sync: false, metrics: figures({ confidence_mean: 0.713, fps: 29.6, queue_packages: 2, queue_bytes: 214_000 }),
  });
  const west = makeDevice({ name: 'west-camera', last_seen: before(2), metrics: figures({}) });
  const array = makeDevice({
    name: 'sensor-array', awaits: 'approval', last_seen: before(6), drift_state: 'adapting', model: { name: 'digit-rows', version: '1.0.0', bundle: hex(9, 64) },
    model_family: 'digits-sensor', desired: { version: '1.0.0', bundle: hex(9, 64) }, metrics: figures({ fps: 49.9, confidence_mean: 0.548, latency_ms_p50: 0.05, latency_ms_p95: 0.09, rss_bytes: 9_400_000 }),
  });
  const fresh = makeDevice({ name: 'pi-garden-3', state: 'pending', online: false, model: null, model_family: null, desired: null, drift_state: 'learning', mode: null, agent_version: null });

  const samples = Array.from({ length: 24 }, (_, index) =>
    makeSample(1840 + index * 5, {
      prediction: digits[Math.floor(next() * 10)], confidence: 0.3 + next() * 0.5, cluster_accuracy: 0.35, novelty: 0.81,
      reason: 'the middle of a large group that is probably answered wrongly',
    }),
  );
  const events = [
    makeEvent(east, samples, { received_at: before(95) }),
    makeRowEvent(array, 24),
    makeEvent(west, [makeSample(3, { sample_id: 'old', verdict: { label: '8', by: 'operator', at: before(5000), weight: 0.5, reviewers: [{ by: 'operator', label: '8', at: before(5000) }, { by: 'bea', label: '3', at: before(5100) }] }, outcome: 'refused' })], {
      event_id: 'e-answered', state: 'answered', samples_labelled: 1, event_verdict: 'expected', received_at: before(5400),
      feedback: { feedback_id: 'f-1', state: 'applied', applied_at: before(5000) }, kind: 'gradual',
      severity: { sigma: 1.2, accuracy_drop: null, interval: null },
      text: 'Distances to the known examples crept up 1.2 sigma over 900 frames, in every class alike.',
    }),
  ];
  const judged: NonNullable<Adaptation['judgement']> = {
    judgement: 'helped', labels: 24, right_before: 14, right_after: 22, difference: 8 / 24, interval: [0.12, 0.51], reason: '', at: before(20),
  };
  const adaptations = [
    makeAdaptation(east, { received_at: before(31), judgement: judged, labels: [{ sample_id: 's-1840', outcome: 'applied' }, { sample_id: 's-1845', outcome: 'refused' }] }),
    makeAdaptation(array, {
      adaptation_id: 'a-array-2', received_at: before(50), state: 'adapting', hypothesis: 'identity', challenger: 'moved_channels+labelled', awaits: 'approval', may_be: ['approve', 'reject'],
      adaptation_sha256: hex(22, 64), champion_sha256: hex(23, 64), canary_before: 0.93, canary_after: 0.928, label_accuracy_before: 0.42, label_accuracy_after: 0.92, candidates: [],
      text: 'Putting 16 moved channels right and remembering 24 labels is proposed; it answers 22 of 24 labels right, 10 without.',
    }),
    makeAdaptation(array, {
      adaptation_id: 'a-array-1', received_at: before(200), state: 'escalated', hypothesis: null, challenger: null, awaits: 'labels', is_newest: false, may_be: [], adaptation_sha256: null,
      label_accuracy_before: null, label_accuracy_after: null, canary_before: null, canary_after: null, candidates: [], text: 'No correction of the input helps; labels are needed.',
    }),
  ];
  for (const event of events) event.adaptations = adaptations.filter((each) => each.event_id === event.event_id);
  const arrayEvent = events[1];
  if (arrayEvent) arrayEvent.received_at = before(240);

  const timeline = (
    [
      [4, east, 'update', 'runs digits 1.0.0, told to run 1.1.0', null],
      [31, east, 'adaptation', 'flat field accepted, distance ratio 0.38; no challenger beat it on 18 labels', 'f-0'],
      [60, array, 'evidence', '24 samples arrived', 'e-sensor-array'],
      [95, east, 'drift', 'Distances to the known examples rose 2.4 sigma 37 frames ago, most in classes 3 and 8.', 'e-camera-east'],
      [240, array, 'drift', 'Distances rose 5.8 sigma; channels 16 to 31 moved.', 'e-sensor-array'],
      [900, west, 'labels', '12 labels by operator', 'f-1'],
      [1500, west, 'package', 'metrics package 41 was set aside: manifest: sha256 differs', 'p-41'],
      [2600, west, 'enrolled', 'enrolled with a token', null],
    ] as const
  ).map(([ago, device, kind, text, ref], index): TimelineEntry => ({
    id: 100 - index, at: before(ago), device_id: device.device_id, device_name: device.name, kind, text, ref,
  }));

  const version = (name: string, number: string, seed: number, stage: 'staging' | 'production', running_on: number) => ({
    name, version: number, bundle: hex(seed, 64), archive_sha256: hex(seed + 1, 64), bytes: 812_344, signed: true,
    publisher: 'm7Qk2yVfXc0pZt3RbLwJ8uEhNsGdAaTi', created_at: before(seed * 1000), stage, running_on, labels: digits,
    lineage: { parent: null, data: null, taught_by: [] },
  });

  return {
    now,
    session: { name: 'ada', role: 'admin' },
    devices: [east, array, west, fresh],
    events,
    timeline,
    models: [
      { name: 'digits', model_family: 'digits-camera', versions: [version('digits', '1.1.0', 5, 'staging', 1), version('digits', '1.0.0', 3, 'production', 1)] },
      { name: 'digit-rows', model_family: 'digits-sensor', versions: [version('digit-rows', '1.0.0', 9, 'production', 1)] },
    ],
    rollouts: [
      {
        rollout_id: 'r-1', name: 'digits', version: '1.1.0', bundle: hex(5, 64), state: 'running', created_at: before(50), by: 'ada', target: { kind: 'model_family' },
        counts: { total: 2, pending: 0, told: 1, running: 1, failed: 0, skipped: 0 },
        devices: [
          { device_id: west.device_id, device_name: west.name, state: 'running', at: before(20), detail: 'swap gap 4 ms, adaptation kept' },
          { device_id: east.device_id, device_name: east.name, state: 'told', at: before(12), detail: null },
        ],
      },
    ],
    overview: {
      server_time: before(0),
      devices: { total: 3, online: 3, drifting: 2, pending: 1 },
      events: { open: 2, answered: 1, total: 3 },
      packages: { stored: 214, duplicates: 3, refused: 0, bytes: 18_400_000, last_at: before(6) },
      feedback: { pending: 1, applied: 1 },
      labels: 12,
      rollouts: { active: 1 },
      throughput: Array.from({ length: 52 }, (_, index) => ({
        at: before((52 - index) * 60), packages: Math.floor(2 + next() * 5), inferences: Math.floor(5400 + next() * 900),
      })),
      recent: timeline,
      jobs: { waiting: 0, failed: 0 },
      judging: { is_possible: true, reason: null },
    },
    metrics: Array.from({ length: 180 }, (_, index) => {
      const drifted = index > 120 && index < 165;
      return {
        at: before((180 - index) * 20),
        frames: index * 600,
        fps: 29.8 + (next() - 0.5) * 0.4,
        confidence_mean: (drifted ? 0.71 : 0.96) + (next() - 0.5) * 0.03,
        latency_ms_p50: 3.1 + next() * 0.3,
        latency_ms_p95: 4.6 + next() * 0.8,
        distance_mean: (drifted ? 0.34 : 0.14) + (next() - 0.5) * 0.02,
        skipped: 0,
        rss_bytes: 41_500_000,
      };
    }),
    given: [],
    ordered: [],
    adaptations,
    transitions: [
      [2140, east, 'adapting', 'probation', 'flat_field serves; the one before goes on beside it', 31],
      [1934, east, 'suspect', 'adapting', '100 samples were collected', 62],
      [1834, east, 'stable', 'suspect', 'distances to the known examples rose by 2.4 sigma', 95],
      [2100, array, 'stable', 'suspect', 'distances rose by 5.8 sigma', 240],
    ].map(([index, device, from, to, why, ago]) => ({
      index: index as number, device_id: (device as Device).device_id, from: from as string, to: to as string, why: why as string, reported_at: before(ago as number),
    })),
    learned: [
      {
        adaptation_sha256: hex(33, 64), device_id: west.device_id, device_name: west.name, received_at: before(3000), name: 'digits', version: '1.0.0-learned.5d1a44b0',
        base: { bundle: hex(3, 64), name: 'digits', version: '1.0.0', archive_sha256: hex(4, 64) }, hypothesis: 'rotate(20)', challenger: 'mean+labelled', labels: 24, vectors: 24,
        opened: ['crossed seven'], taught_by: ['f-1'], bytes: 41_200, state: 'waiting_for_signature', registered_as: null,
        command: `tinylcm bundle make digits-1.0.0.tar.zst --adaptation adaptation.bin --version 1.0.0-learned.5d1a44b0 --taught-by ${west.device_id} --key PUBLISHER.key --out digits-1.0.0-learned.5d1a44b0.tar.zst`,
        judgement: judged,
      },
    ],
  };
}
