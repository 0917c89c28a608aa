import type { ReactNode } from 'react';
import type { Device, DriftEvent, DriftState } from '@/lib/api/types';
import { sentence } from '@/lib/format';
import classes from './ui.module.css';

export type Tone = 'quiet' | 'good' | 'warn' | 'bad' | 'act';

export function Tag({ tone = 'quiet', children }: { tone?: Tone; children: ReactNode }) {
  return (
    <span className={classes.tag} data-tone={tone}>
      <span className={classes.dot} />
      {children}
    </span>
  );
}

const driftTones: Record<DriftState, Tone> = {
  stable: 'good',
  learning: 'quiet',
  suspect: 'warn',
  adapting: 'warn',
  probation: 'act',
  escalated: 'bad',
};

export function DriftStateTag({ state }: { state: DriftState }) {
  return <Tag tone={driftTones[state]}>{sentence(state)}</Tag>;
}

/** What a device's adaptation needs a person for; nothing where it needs none. */
export function AwaitsTag({ device }: { device: Device }) {
  switch (device.awaits) {
    case 'approval':
      return <Tag tone="act">Waits for approval</Tag>;
    case 'labels':
      return <Tag tone="warn">Waits for labels</Tag>;
    case null:
      return null;
  }
}

export function PresenceTag({ device }: { device: Device }) {
  if (device.state !== 'active') {
    return <Tag tone={device.state === 'pending' ? 'act' : 'bad'}>{sentence(device.state)}</Tag>;
  }
  return (
    <span className={classes.plain} data-tone={device.online ? 'good' : 'quiet'}>
      <span className={classes.dot} />
      {device.online ? 'Online' : 'Offline'}
    </span>
  );
}

export function EventStateTag({ event }: { event: DriftEvent }) {
  if (event.state === 'open') return <Tag tone="warn">Needs labels</Tag>;
  if (event.feedback === null) return <Tag>Answered</Tag>;
  switch (event.feedback.state) {
    case 'pending':
      return <Tag tone="act">Labels on their way</Tag>;
    case 'delivered':
      return <Tag tone="act">Labels delivered</Tag>;
    case 'applied':
      return <Tag tone="good">Applied on the device</Tag>;
  }
}
