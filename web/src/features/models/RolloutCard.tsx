import { Button } from '@mantine/core';
import { modals } from '@mantine/modals';
import { Link } from '@tanstack/react-router';
import { Icon } from '@/components/ui/Icon';
import { Tag, type Tone } from '@/components/ui/Tag';
import type { Rollout, RolloutDevice } from '@/lib/api/types';
import { ago, count, sentence } from '@/lib/format';
import { useNow } from '@/lib/now';
import { useMay } from '@/lib/session';
import { useSteerRollout } from './api/steer_rollout';
import classes from './models.module.css';

const stateTones: Record<Rollout['state'], Tone> = {
  running: 'act', paused: 'warn', halted: 'bad', done: 'good', rolled_back: 'bad',
};
const deviceTones: Record<RolloutDevice['state'], Tone> = {
  pending: 'quiet', told: 'act', running: 'good', failed: 'bad', skipped: 'quiet',
};
const deviceTexts: Record<RolloutDevice['state'], string> = {
  pending: 'not told yet', told: 'told', running: 'runs it', failed: 'failed', skipped: 'skipped',
};
const order = ['running', 'told', 'failed', 'skipped', 'pending'] as const;

function Progress({ counts }: { counts: Rollout['counts'] }) {
  return (
    <div
      className={classes.progress}
      role="progressbar"
      aria-label="Devices that run it"
      aria-valuemin={0}
      aria-valuemax={counts.total}
      aria-valuenow={counts.running}
    >
      {order.map((state) => (
        <span key={state} data-state={state} style={{ flexGrow: counts[state] }} />
      ))}
    </div>
  );
}

export function RolloutCard({ rollout }: { rollout: Rollout }) {
  const now = useNow();
  const steer = useSteerRollout(rollout.rollout_id);
  const maySteer = useMay('operator');
  const isOpen = rollout.state === 'running' || rollout.state === 'paused';
  const name = `${rollout.name} ${rollout.version}`;

  const halt = () =>
    modals.openConfirmModal({
      title: `Halt the roll-out of ${name}?`,
      children: 'Devices that have not swapped yet stay as they are. Those that have, keep the new version.',
      labels: { confirm: 'Halt', cancel: 'Go on' },
      confirmProps: { color: 'red' },
      onConfirm: () => steer.mutate('halt'),
    });

  return (
    <li className={classes.rollout} aria-label={`Roll-out of ${name}`}>
      <div className={classes.rolloutHead}>
        <strong>{name}</strong>
        <Tag tone={stateTones[rollout.state]}>{rollout.state === 'running' ? 'Under way' : sentence(rollout.state)}</Tag>
        <span className={classes.quiet}>
          {count(rollout.counts.running)} of {count(rollout.counts.total)} run it · by {rollout.by}, {ago(rollout.created_at, now)}
        </span>
        {isOpen && maySteer && (
          <div className={classes.rolloutActs}>
            {rollout.state === 'running' ? (
              <Button size="compact-xs" variant="default" leftSection={<Icon name="pause" size={13} />} loading={steer.isPending} onClick={() => steer.mutate('pause')}>
                Pause
              </Button>
            ) : (
              <Button size="compact-xs" variant="default" leftSection={<Icon name="play" size={13} />} loading={steer.isPending} onClick={() => steer.mutate('resume')}>
                Resume
              </Button>
            )}
            <Button size="compact-xs" variant="default" leftSection={<Icon name="stop" size={13} />} onClick={halt}>
              Halt
            </Button>
          </div>
        )}
      </div>
      {steer.error && (
        <div role="alert" className={classes.problem}>
          {steer.error.message}
        </div>
      )}
      <Progress counts={rollout.counts} />
      <details className={classes.details} open={isOpen}>
        <summary>Devices</summary>
        <ul className={classes.rolloutDevices}>
          {rollout.devices.map((device) => (
            <li key={device.device_id}>
              <Link to="/devices/$deviceId" params={{ deviceId: device.device_id }}>
                {device.device_name}
              </Link>
              <Tag tone={deviceTones[device.state]}>{deviceTexts[device.state]}</Tag>
              <span className={classes.quiet}>{ago(device.at, now)}</span>
              {device.detail !== null && device.detail !== '' && <span className={classes.detail}>{device.detail}</span>}
            </li>
          ))}
        </ul>
      </details>
    </li>
  );
}
