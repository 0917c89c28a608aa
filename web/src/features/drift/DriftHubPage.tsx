import { SegmentedControl } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { AsOf, Face } from '@/components/ui/Face';
import { Page, Panel } from '@/components/ui/Page';
import { EventStateTag } from '@/components/ui/Tag';
import type { DriftEvent } from '@/lib/api/types';
import { driftEventsQuery, type EventFilter } from '@/lib/drift_events_query';
import { ago, dateTime, eventTitle, sigma } from '@/lib/format';
import { useNow } from '@/lib/now';
import { viewOf } from '@/lib/view';
import classes from './drift.module.css';

const filters: { value: EventFilter; label: string }[] = [
  { value: 'open', label: 'Open' },
  { value: 'answered', label: 'Answered' },
  { value: 'all', label: 'All' },
];

function EventItem({ event }: { event: DriftEvent }) {
  const now = useNow();
  return (
    <li>
      <Link to="/drift/$eventId" params={{ eventId: event.event_id }} className={classes.item} aria-label={`${eventTitle(event.kind)} on ${event.device_name}`}>
        <span className={classes.itemHead}>
          <strong>{event.device_name}</strong>
          <span>{eventTitle(event.kind)}</span>
          <span className={classes.hint}>{sigma(event.severity.sigma)}</span>
          <EventStateTag event={event} />
        </span>
        <span className={classes.itemText}>{event.text}</span>
        <span className={classes.itemFoot}>
          <span className={classes.meter} aria-hidden="true">
            <span style={{ width: event.samples_total > 0 ? `${(event.samples_labelled / event.samples_total) * 100}%` : 0 }} />
          </span>
          {event.samples_labelled} of {event.samples_total} labelled
          <time dateTime={event.received_at} title={dateTime(event.received_at)}>
            {ago(event.received_at, now)}
          </time>
        </span>
      </Link>
    </li>
  );
}

export function DriftHubPage() {
  const [filter, setFilter] = useState<EventFilter>('open');
  const view = viewOf(useQuery(driftEventsQuery(filter)), (page) => page.items.length === 0);
  return (
    <Page title="Drift Hub" lead="Where a device noticed that the world changed, and asks what it sees." actions={<AsOf view={view} />}>
      <Panel
        title="Drift events"
        note={view.face === 'ready' && view.data.next !== null ? `the newest ${view.data.items.length}` : undefined}
        flush
        actions={
          <SegmentedControl size="xs" aria-label="Which events" data={filters} value={filter} onChange={(value) => setFilter(value as EventFilter)} />
        }
      >
        <Face
          view={view}
          what="the drift events"
          empty={
            filter === 'open'
              ? { title: 'Nothing waits for you', text: 'No device asks for labels now.' }
              : { icon: 'drift', title: 'No drift event', text: 'No device has noticed a change yet.' }
          }
        >
          {(page) => (
            <ul>
              {page.items.map((event) => (
                <EventItem key={event.event_id} event={event} />
              ))}
            </ul>
          )}
        </Face>
      </Panel>
    </Page>
  );
}
