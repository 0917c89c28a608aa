import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import type { TimelineEntry, TimelineKind } from '@/lib/api/types';
import { ago, dateTime } from '@/lib/format';
import { useNow } from '@/lib/now';
import { Icon, type IconName } from './Icon';
import type { Tone } from './Tag';
import classes from './ui.module.css';

const marks: Record<TimelineKind, [IconName, Tone]> = {
  enrolled: ['enrolled', 'quiet'],
  drift: ['drift', 'warn'],
  evidence: ['evidence', 'quiet'],
  labels: ['label', 'act'],
  feedback: ['feedback', 'act'],
  adaptation: ['adaptation', 'good'],
  update: ['update', 'good'],
  rollback: ['rollback', 'bad'],
  alert: ['alert', 'bad'],
  package: ['package', 'quiet'],
};

function Text({ entry }: { entry: TimelineEntry }): ReactNode {
  if (entry.kind === 'drift' && entry.ref !== null) {
    return (
      <Link to="/drift/$eventId" params={{ eventId: entry.ref }}>
        {entry.text}
      </Link>
    );
  }
  return entry.text;
}

/** What happened, newest first. */
export function TimelineList({ entries, withDevice = false }: { entries: TimelineEntry[]; withDevice?: boolean }) {
  const now = useNow();
  return (
    <ol className={classes.timeline}>
      {entries.map((entry) => {
        const [icon, tone] = marks[entry.kind];
        return (
          <li key={entry.id} className={classes.entry}>
            <span className={classes.entryMark} data-tone={tone} title={entry.kind}>
              <Icon name={icon} size={14} />
            </span>
            <div className={classes.entryText}>
              {withDevice && (
                <>
                  <Link to="/devices/$deviceId" params={{ deviceId: entry.device_id }} className={classes.entryDevice}>
                    {entry.device_name}
                  </Link>{' '}
                </>
              )}
              <Text entry={entry} />
            </div>
            <time className={classes.entryTime} dateTime={entry.at} title={dateTime(entry.at)}>
              {ago(entry.at, now)}
            </time>
          </li>
        );
      })}
    </ol>
  );
}
