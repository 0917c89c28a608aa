import { Button, Menu, Modal, SegmentedControl, TextInput } from '@mantine/core';
import { modals } from '@mantine/modals';
import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { useParams } from '@tanstack/react-router';
import { type FormEvent, useMemo, useState } from 'react';
import { AsOf, EmptyFace, Face } from '@/components/ui/Face';
import { Facts } from '@/components/ui/Figure';
import { Page, Panel } from '@/components/ui/Page';
import { AwaitsTag, DriftStateTag, PresenceTag, Tag } from '@/components/ui/Tag';
import { TimelineList } from '@/components/ui/TimelineList';
import { adaptationText } from '@/lib/adaptation_text';
import type { Device, TimelineEntry, TimelineKind } from '@/lib/api/types';
import { ago, bytes, count, dateTime, decimal, milliseconds, percent, UNKNOWN, words } from '@/lib/format';
import { useNow } from '@/lib/now';
import { useMay } from '@/lib/session';
import { viewOf } from '@/lib/view';
import { AdaptationPanels } from './AdaptationPanels';
import { useChangeDevice } from './api/change_device';
import { deviceQuery } from './api/get_device';
import { metricsQuery, type Range, ranges } from './api/get_metrics';
import { timelineQuery } from './api/get_timeline';
import { ModeControl } from './ModeControl';
import { Plots } from './Plots';
import classes from './devices.module.css';

function DeviceFacts({ device }: { device: Device }) {
  const now = useNow();
  const metrics = device.metrics;
  const model = device.model === null ? 'not reported yet' : `${device.model.name ?? 'unknown bundle'} ${device.model.version ?? ''}`;
  return (
    <Facts
      facts={[
        ['Runs', model],
        ['Should run', device.in_sync || device.desired === null ? 'as it does' : device.desired.version],
        ['Adaptation', adaptationText(device)],
        ['Mode', device.mode === null ? UNKNOWN : words(device.mode)],
        ['Accuracy, estimated', percent(metrics?.accuracy_estimated, 1)],
        ['Confidence, mean', percent(metrics?.confidence_mean, 1)],
        ['Rate', metrics?.fps == null ? UNKNOWN : `${decimal(metrics.fps, 1)} per second`],
        ['Latency p50 / p95', `${milliseconds(metrics?.latency_ms_p50)} / ${milliseconds(metrics?.latency_ms_p95)}`],
        ['Frames since start', count(metrics?.frames)],
        ['Skipped / dropped', `${count(metrics?.skipped)} / ${count(metrics?.dropped)}`],
        ['Memory', bytes(metrics?.rss_bytes)],
        ['CPU', metrics?.cpu_percent == null ? UNKNOWN : `${decimal(metrics.cpu_percent, 0)} %`],
        ['Queue', `${count(metrics?.queue_packages)} packages, ${bytes(metrics?.queue_bytes)}`],
        ['Figures of', metrics === null ? UNKNOWN : ago(metrics.at, now)],
        ['Agent', device.agent_version ?? UNKNOWN],
        ['Enrolled', dateTime(device.enrolled_at)],
        ['Device id', <code key="id" className={classes.code}>{device.device_id}</code>],
        ['Key fingerprint', <code key="key" className={classes.code}>{device.fingerprint}</code>],
      ]}
    />
  );
}

function Rename({ device, close }: { device: Device; close: () => void }) {
  const [name, setName] = useState(device.name);
  const change = useChangeDevice(device.device_id);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    change.mutate({ kind: 'name', name: name.trim() }, { onSuccess: close });
  };
  return (
    <form onSubmit={submit} className={classes.stack}>
      <TextInput
        label="Name"
        required
        withAsterisk={false}
        maxLength={100}
        value={name}
        error={change.error?.message}
        onChange={(event) => setName(event.currentTarget.value)}
        data-autofocus
      />
      <Button type="submit" loading={change.isPending} disabled={name.trim() === ''}>
        Save the name
      </Button>
    </form>
  );
}

function Actions({ device }: { device: Device }) {
  const mayName = useMay('operator');
  const mayRevoke = useMay('admin');
  const change = useChangeDevice(device.device_id);
  const [isNaming, setIsNaming] = useState(false);
  if (!mayName) return null;

  const confirm = (kind: 'revoke' | 'decommission', title: string, text: string) =>
    modals.openConfirmModal({
      title,
      children: text,
      labels: { confirm: title, cancel: 'Cancel' },
      confirmProps: { color: 'red' },
      onConfirm: () => change.mutate({ kind }),
    });

  return (
    <>
      {device.state === 'pending' && mayRevoke && (
        <Button size="xs" loading={change.isPending} onClick={() => change.mutate({ kind: 'accept' })}>
          Accept
        </Button>
      )}
      <Menu position="bottom-end" width={220}>
        <Menu.Target>
          <Button size="xs" variant="default">
            Actions
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item onClick={() => setIsNaming(true)}>Rename</Menu.Item>
          {mayRevoke && (
            <>
              <Menu.Item
                onClick={() =>
                  confirm('decommission', 'Decommission', `${device.name} will stop sending. It goes on inferring.`)
                }
              >
                Decommission
              </Menu.Item>
              <Menu.Item
                color="red"
                onClick={() => confirm('revoke', 'Revoke the key', `Nothing that ${device.name} sends will be accepted any more.`)}
              >
                Revoke the key
              </Menu.Item>
            </>
          )}
        </Menu.Dropdown>
      </Menu>
      <Modal opened={isNaming} onClose={() => setIsNaming(false)} title={`Rename ${device.name}`}>
        <Rename device={device} close={() => setIsNaming(false)} />
      </Modal>
    </>
  );
}

const filters: Record<string, TimelineKind[] | null> = {
  Everything: null,
  Drift: ['drift', 'evidence', 'alert'],
  Labels: ['labels', 'feedback', 'adaptation'],
  Updates: ['update', 'rollback', 'enrolled'],
};

export function DevicePage() {
  const { deviceId } = useParams({ from: '/signed-in/devices/$deviceId' });
  const [range, setRange] = useState<Range>('1 h');
  const [filter, setFilter] = useState('Everything');

  const device = viewOf(useQuery(deviceQuery(deviceId)));
  const metrics = viewOf(useQuery(metricsQuery(deviceId, range)), (points) => points.length === 0);
  const timeline = useInfiniteQuery(timelineQuery(deviceId));
  const entries = useMemo<TimelineEntry[]>(() => timeline.data?.pages.flatMap((page) => page.items) ?? [], [timeline.data]);
  const kinds = filters[filter];
  const shown = kinds ? entries.filter((entry) => kinds.includes(entry.kind)) : entries;
  const ready = device.face === 'ready' ? device.data : undefined;

  return (
    <Page
      title={ready?.name ?? 'Device'}
      back={{ to: '/devices', label: 'Devices' }}
      lead={
        ready && (
          <span className={classes.tags}>
            <PresenceTag device={ready} />
            <DriftStateTag state={ready.drift_state} />
            <AwaitsTag device={ready} />
            {!ready.signed && <Tag tone="warn">Unsigned</Tag>}
            {!ready.in_sync && <Tag tone="act">Update on its way</Tag>}
          </span>
        )
      }
      actions={
        <>
          <AsOf view={device} />
          {ready && <Actions device={ready} />}
        </>
      }
    >
      <div className={classes.deviceColumns}>
        <div className={classes.stack}>
          <Panel
            title="Figures over time"
            actions={
              <SegmentedControl
                size="xs"
                aria-label="Time range"
                data={Object.keys(ranges)}
                value={range}
                onChange={(value) => setRange(value as Range)}
              />
            }
          >
            <Face view={metrics} what="the figures" empty={{ icon: 'drift', title: 'No figures in this time' }}>
              {(points) => <Plots points={points} entries={entries} />}
            </Face>
          </Panel>
          <AdaptationPanels deviceId={deviceId} />
          <Panel title="Mode">
            <Face view={device} what="the device">
              {(data) => <ModeControl device={data} />}
            </Face>
          </Panel>
          <Panel title="Facts">
            <Face view={device} what="the device">
              {(data) => <DeviceFacts device={data} />}
            </Face>
          </Panel>
        </div>
        <Panel
          title="Timeline"
          flush
          actions={
            <SegmentedControl size="xs" aria-label="Kinds" data={Object.keys(filters)} value={filter} onChange={setFilter} />
          }
        >
          <Face view={viewOf(timeline)} what="the timeline">
            {() =>
              shown.length === 0 ? (
                <EmptyFace icon="overview" title={entries.length === 0 ? 'Nothing has happened yet' : 'Nothing of this kind'} />
              ) : (
                <div className={classes.feed}>
                  <TimelineList entries={shown} />
                  {timeline.hasNextPage && (
                    <div className={classes.more}>
                      <Button size="xs" variant="default" loading={timeline.isFetchingNextPage} onClick={() => void timeline.fetchNextPage()}>
                        Show earlier
                      </Button>
                    </div>
                  )}
                </div>
              )
            }
          </Face>
        </Panel>
      </div>
    </Page>
  );
}
