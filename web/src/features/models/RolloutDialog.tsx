import { Alert, Button, Checkbox, Modal, Radio } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Face } from '@/components/ui/Face';
import type { Device, ModelVersion } from '@/lib/api/types';
import { devicesQuery } from '@/lib/devices_query';
import { viewOf } from '@/lib/view';
import { useStartRollout } from './api/start_rollout';
import classes from './models.module.css';

interface Chosen {
  version: ModelVersion;
  family: string;
}

function Confirm({ chosen: { version, family }, close }: { chosen: Chosen; close: () => void }) {
  const [scope, setScope] = useState<'family' | 'some'>('family');
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set());
  const start = useStartRollout();
  const isOfFamily = (device: Device) => device.state === 'active' && device.model_family === family;
  const devices = viewOf(useQuery(devicesQuery), (page) => !page.items.some(isOfFamily));
  const targets = devices.face === 'ready' ? devices.data.items.filter(isOfFamily) : [];
  const count = scope === 'family' ? targets.length : picked.size;

  const toggle = (id: string) => {
    const next = new Set(picked);
    if (!next.delete(id)) next.add(id);
    setPicked(next);
  };

  return (
    <div className={classes.stack}>
      {start.error && (
        <Alert color="red" role="alert" variant="light">
          {start.error.message}
        </Alert>
      )}
      <p>
        Each device checks the publisher&apos;s signature itself, swaps without a gap, and goes back by itself if the new
        version does worse.
      </p>
      <Radio.Group label="Which devices" value={scope} onChange={(value) => setScope(value as 'family' | 'some')}>
        <div className={classes.choices}>
          <Radio value="family" label={`Every device of the family ${family}`} />
          <Radio value="some" label="Only these" />
        </div>
      </Radio.Group>
      <Face view={devices} what="the devices" empty={{ icon: 'devices', title: `No active device of the family ${family} is known yet` }}>
        {() => (
          <ul className={classes.targets}>
            {targets.map((device) => (
              <li key={device.device_id}>
                <Checkbox
                  label={device.name}
                  description={`runs ${device.model?.version ?? 'nothing it reported'}${device.online ? '' : ', offline'}`}
                  checked={scope === 'family' || picked.has(device.device_id)}
                  disabled={scope === 'family'}
                  onChange={() => toggle(device.device_id)}
                />
              </li>
            ))}
          </ul>
        )}
      </Face>
      <div className={classes.dialogActs}>
        <Button variant="default" onClick={close}>
          Cancel
        </Button>
        <Button
          loading={start.isPending}
          disabled={scope === 'some' && picked.size === 0}
          onClick={() =>
            start.mutate(
              { name: version.name, version: version.version, devices: scope === 'family' ? null : [...picked] },
              { onSuccess: close },
            )
          }
        >
          Roll out to {count} {count === 1 ? 'device' : 'devices'}
        </Button>
      </div>
    </div>
  );
}

export function RolloutDialog({ chosen, onClose }: { chosen: Chosen | null; onClose: () => void }) {
  return (
    <Modal
      opened={chosen !== null}
      onClose={onClose}
      title={chosen === null ? '' : `Roll out ${chosen.version.name} ${chosen.version.version}`}
      size="md"
    >
      {chosen !== null && <Confirm key={chosen.version.bundle} chosen={chosen} close={onClose} />}
    </Modal>
  );
}
