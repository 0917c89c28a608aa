import { useMemo } from 'react';
import type { Overview } from '@/lib/api/types';
import { clock, count } from '@/lib/format';
import classes from './overview.module.css';

const MINUTES = 60;
const MINUTE_MS = 60_000;

type Point = Overview['throughput'][number];

/** One value a minute; minutes without a report are zero, for nothing came. */
export function minutesOf(points: Point[], until: string, value: (point: Point) => number): { at: number; value: number }[] {
  const last = Math.floor(Date.parse(until) / MINUTE_MS);
  const byMinute = new Map<number, number>();
  for (const point of points) {
    const minute = Math.floor(Date.parse(point.at) / MINUTE_MS);
    byMinute.set(minute, (byMinute.get(minute) ?? 0) + value(point));
  }
  return Array.from({ length: MINUTES }, (_, back) => {
    const minute = last - (MINUTES - 1 - back);
    return { at: minute * MINUTE_MS, value: byMinute.get(minute) ?? 0 };
  });
}

function Row({ name, minutes }: { name: string; minutes: { at: number; value: number }[] }) {
  const most = Math.max(1, ...minutes.map((minute) => minute.value));
  const total = minutes.reduce((sum, minute) => sum + minute.value, 0);
  return (
    <figure className={classes.minutes}>
      <figcaption>
        <span>{name}</span>
        <strong>{count(total)}</strong>
        <span className={classes.quiet}>most in a minute {count(most)}</span>
      </figcaption>
      <svg viewBox={`0 0 ${MINUTES * 10} 56`} preserveAspectRatio="none" role="img" aria-label={`${name}: ${count(total)} in the last hour`}>
        {minutes.map((minute, index) => {
          const height = minute.value === 0 ? 1.5 : Math.max(3, (minute.value / most) * 56);
          return (
            <rect
              key={minute.at}
              x={index * 10 + 1}
              y={56 - height}
              width={8}
              height={height}
              style={{ fill: minute.value === 0 ? 'var(--line-strong)' : 'var(--series-1)' }}
            >
              <title>{`${clock(minute.at)}: ${count(minute.value)}`}</title>
            </rect>
          );
        })}
      </svg>
    </figure>
  );
}

export function Throughput({ points, until }: { points: Point[]; until: string }) {
  const inferences = useMemo(() => minutesOf(points, until, (point) => point.inferences), [points, until]);
  const packages = useMemo(() => minutesOf(points, until, (point) => point.packages), [points, until]);
  return (
    <div className={classes.throughput}>
      <Row name="Inferences" minutes={inferences} />
      <Row name="Packages" minutes={packages} />
    </div>
  );
}
