import { NativeSelect } from '@mantine/core';
import type { Device, Mode } from '@/lib/api/types';
import { UNKNOWN, words } from '@/lib/format';
import { useMay } from '@/lib/session';
import { useChangeDevice } from './api/change_device';
import classes from './devices.module.css';

const meanings: Record<Mode | 'configured', string> = {
  autonomous: 'A corrected input is served before labels come; labels can veto it later.',
  server_assisted: 'Nothing is served before a person has labelled samples.',
  monitoring_only: 'Drift is told. Nothing is ever changed.',
  configured: 'The device follows its own configuration.',
};

/** What the device is asked to be, and what it says it is: two facts that may differ until it has heard. */
export function ModeControl({ device }: { device: Device }) {
  const mayAsk = useMay('operator') && (device.state === 'active' || device.state === 'pending');
  const change = useChangeDevice(device.device_id);
  const asked = device.desired_mode;
  const said = device.mode === null ? UNKNOWN : words(device.mode);
  const isWaiting = asked !== null && asked !== device.mode;
  return (
    <div className={classes.mode}>
      {mayAsk && (
        <NativeSelect
          label="Asked mode"
          description={meanings[asked ?? 'configured']}
          value={asked ?? ''}
          disabled={change.isPending}
          error={change.error?.message}
          onChange={(event) => {
            const value = event.currentTarget.value;
            change.mutate({ kind: 'mode', mode: value === '' ? null : (value as Mode) });
          }}
          data={[
            { value: '', label: 'As the device is configured' },
            { value: 'autonomous', label: 'Autonomous' },
            { value: 'server_assisted', label: 'Server assisted' },
            { value: 'monitoring_only', label: 'Monitoring only' },
          ]}
        />
      )}
      <p role="status" className={classes.modeSaid}>
        Asked: {asked === null ? 'as configured' : words(asked)}. The device says: {said}.
        {isWaiting && ' It takes the mode when it next asks.'}
      </p>
    </div>
  );
}
