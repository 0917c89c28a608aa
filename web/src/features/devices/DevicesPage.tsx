import { Button, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import {
  createColumnHelper,
  createSortedRowModel,
  rowSortingFeature,
  sortFn_alphanumeric,
  sortFn_text,
  tableFeatures,
  useTable,
} from '@tanstack/react-table';
import { useMemo, useState } from 'react';
import { AsOf, EmptyFace, Face } from '@/components/ui/Face';
import { Page, Panel } from '@/components/ui/Page';
import { AwaitsTag, DriftStateTag, PresenceTag } from '@/components/ui/Tag';
import type { Device } from '@/lib/api/types';
import { devicesQuery } from '@/lib/devices_query';
import { ago, count, decimal, milliseconds, percent, UNKNOWN, words } from '@/lib/format';
import { useNow } from '@/lib/now';
import { useMay } from '@/lib/session';
import { viewOf } from '@/lib/view';
import { useChangeDevice } from './api/change_device';
import { adaptationText } from '@/lib/adaptation_text';
import classes from './devices.module.css';

function Seen({ device }: { device: Device }) {
  const now = useNow();
  return <>{ago(device.last_seen, now)}</>;
}

const features = tableFeatures({
  rowSortingFeature,
  sortedRowModel: createSortedRowModel(),
  sortFns: { alphanumeric: sortFn_alphanumeric, text: sortFn_text },
});
const column = createColumnHelper<typeof features, Device>();

// What needs a person first.
const urgency: Record<Device['drift_state'], number> = {
  escalated: 5, suspect: 4, adapting: 3, probation: 2, learning: 1, stable: 0,
};

const columns = column.columns([
  column.accessor('name', {
    header: 'Device',
    cell: ({ row }) => (
      <Link to="/devices/$deviceId" params={{ deviceId: row.original.device_id }} className={classes.name}>
        {row.original.name}
      </Link>
    ),
  }),
  column.accessor((device) => `${device.state} ${device.online ? 0 : 1}`, {
    id: 'presence',
    header: 'Presence',
    cell: ({ row }) => <PresenceTag device={row.original} />,
  }),
  column.accessor((device) => urgency[device.drift_state], {
    id: 'drift',
    header: 'Drift',
    sortDescFirst: true,
    cell: ({ row }) => (
      <span className={classes.tags}>
        <DriftStateTag state={row.original.drift_state} />
        <AwaitsTag device={row.original} />
      </span>
    ),
  }),
  column.accessor((device) => adaptationText(device), { id: 'adaptation', header: 'Adaptation' }),
  column.accessor((device) => `${device.model?.name ?? ''} ${device.model?.version ?? ''}`, {
    id: 'model',
    header: 'Model',
    cell: ({ row: { original: device } }) => (
      <span>
        {device.model?.name ?? UNKNOWN} {device.model?.version}
        {!device.in_sync && device.desired !== null && <span className={classes.wanted}>to {device.desired.version}</span>}
      </span>
    ),
  }),
  column.accessor((device) => device.mode ?? '', {
    id: 'mode',
    header: 'Mode',
    cell: ({ row }) => (row.original.mode === null ? UNKNOWN : words(row.original.mode)),
  }),
  column.accessor((device) => device.metrics?.confidence_mean ?? undefined, {
    id: 'confidence',
    header: 'Confidence',
    sortUndefined: 'last',
    cell: ({ row }) => percent(row.original.metrics?.confidence_mean),
  }),
  column.accessor((device) => device.metrics?.fps ?? undefined, {
    id: 'rate',
    header: 'Rate',
    sortUndefined: 'last',
    cell: ({ row }) => {
      const fps = row.original.metrics?.fps;
      return fps === null || fps === undefined ? UNKNOWN : `${decimal(fps, 1)}/s`;
    },
  }),
  column.accessor((device) => device.metrics?.latency_ms_p95 ?? undefined, {
    id: 'latency',
    header: 'Latency p95',
    sortUndefined: 'last',
    cell: ({ row }) => milliseconds(row.original.metrics?.latency_ms_p95),
  }),
  column.accessor((device) => device.metrics?.queue_packages ?? undefined, {
    id: 'queue',
    header: 'Queue',
    sortUndefined: 'last',
    cell: ({ row }) => count(row.original.metrics?.queue_packages),
  }),
  column.accessor((device) => (device.last_seen === null ? undefined : Date.parse(device.last_seen)), {
    id: 'seen',
    header: 'Last seen',
    sortUndefined: 'last',
    sortDescFirst: true,
    cell: ({ row }) => <Seen device={row.original} />,
  }),
]);

const figures = new Set(['confidence', 'rate', 'latency', 'queue', 'seen']);
const ariaSort = { asc: 'ascending', desc: 'descending' } as const;

function DeviceTable({ devices }: { devices: Device[] }) {
  const table = useTable({ features, columns, data: devices, initialState: { sorting: [{ id: 'name', desc: false }] } });
  return (
    <div className={classes.scroll}>
      <table className={classes.table}>
        <thead>
          {table.getHeaderGroups().map((group) => (
            <tr key={group.id}>
              {group.headers.map((header) => {
                const sorted = header.column.getIsSorted();
                return (
                  <th
                    key={header.id}
                    scope="col"
                    className={figures.has(header.column.id) ? classes.figure : undefined}
                    aria-sort={sorted === false ? undefined : ariaSort[sorted]}
                  >
                    <button type="button" className={classes.sort} onClick={header.column.getToggleSortingHandler()}>
                      <table.FlexRender header={header} />
                      <span aria-hidden="true" className={classes.sortMark}>
                        {sorted === 'asc' ? '↑' : sorted === 'desc' ? '↓' : ''}
                      </span>
                    </button>
                  </th>
                );
              })}
            </tr>
          ))}
        </thead>
        <tbody>
          {table.getRowModel().rows.map((row) => (
            <tr key={row.original.device_id}>
              {row.getAllCells().map((cell) => (
                <td
                  key={cell.id}
                  data-label={String(cell.column.columnDef.header)}
                  className={figures.has(cell.column.id) ? classes.figure : undefined}
                >
                  <table.FlexRender cell={cell} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function PendingDevice({ device }: { device: Device }) {
  const mayAccept = useMay('admin');
  const change = useChangeDevice(device.device_id);
  return (
    <li className={classes.pending}>
      <div>
        <strong>{device.name}</strong>
        <div className={classes.fingerprint}>{device.fingerprint}</div>
        {change.error && (
          <div role="alert" className={classes.problem}>
            {change.error.message}
          </div>
        )}
      </div>
      {mayAccept && (
        <Button size="xs" loading={change.isPending} onClick={() => change.mutate({ kind: 'accept' })} aria-label={`Accept ${device.name}`}>
          Accept
        </Button>
      )}
    </li>
  );
}

export function DevicesPage() {
  const [filter, setFilter] = useState('');
  const query = useQuery(devicesQuery);
  const view = viewOf(query, (page) => page.items.length === 0);
  const items = query.data?.items;

  const pending = useMemo(() => (items ?? []).filter((device) => device.state === 'pending'), [items]);
  const shown = useMemo(() => {
    const wanted = filter.trim().toLowerCase();
    return (items ?? []).filter(
      (device) =>
        device.state !== 'pending' &&
        [device.name, device.device_id, device.model?.name ?? '', device.drift_state].some((text) =>
          text.toLowerCase().includes(wanted),
        ),
    );
  }, [items, filter]);

  return (
    <Page
      title="Devices"
      actions={
        <>
          <AsOf view={view} />
          <TextInput
            size="xs"
            placeholder="Name, id, model or state"
            aria-label="Filter devices"
            value={filter}
            onChange={(event) => setFilter(event.currentTarget.value)}
          />
        </>
      }
    >
      <div className={classes.stack}>
        {pending.length > 0 && (
          <Panel title="Waiting to be accepted" note="compare with what `tinylcm status` prints on the device" flush>
            <ul>
              {pending.map((device) => (
                <PendingDevice key={device.device_id} device={device} />
              ))}
            </ul>
          </Panel>
        )}
        <Panel title="Fleet" note={items === undefined ? undefined : `${shown.length} of ${items.length - pending.length}`} flush>
          <Face
            view={view}
            what="the devices"
            empty={{ icon: 'devices', title: 'No device yet', text: 'A device appears here once it has enrolled.' }}
          >
            {(page) => (
              <>
                {shown.length === 0 ? (
                  <EmptyFace icon="devices" title={filter === '' ? 'No accepted device yet' : 'No device matches the filter'} />
                ) : (
                  <DeviceTable devices={shown} />
                )}
                {!page.isWhole && <p className={classes.more}>Only the first {page.items.length} devices are shown.</p>}
              </>
            )}
          </Face>
        </Panel>
      </div>
    </Page>
  );
}
