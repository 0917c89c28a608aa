import { useMemo } from 'react';
import type { MetricPoint, TimelineEntry } from '@/lib/api/types';
import { milliseconds } from '@/lib/format';
import { type Mark, Plot, type Series } from './Plot';
import classes from './devices.module.css';

const tones: Partial<Record<TimelineEntry['kind'], Mark['tone']>> = {
  drift: 'warn',
  adaptation: 'good',
  update: 'accent',
  rollback: 'warn',
};

export function Plots({ points, entries }: { points: MetricPoint[]; entries: TimelineEntry[] }) {
  const times = useMemo(() => points.map((point) => Date.parse(point.at) / 1000), [points]);
  const marks = useMemo(
    () =>
      entries.flatMap((entry): Mark[] => {
        const tone = tones[entry.kind];
        return tone === undefined ? [] : [{ at: Date.parse(entry.at) / 1000, tone }];
      }),
    [entries],
  );
  const series = useMemo(() => {
    const one = (label: string, value: (point: MetricPoint) => number | null): Series => ({
      label,
      values: points.map(value),
    });
    return {
      confidence: [one('Mean', (point) => point.confidence_mean)],
      distance: [one('Mean', (point) => point.distance_mean)],
      fps: [one('Rate', (point) => point.fps)],
      latency: [one('p50', (point) => point.latency_ms_p50), one('p95', (point) => point.latency_ms_p95)],
    };
  }, [points]);

  return (
    <>
      <div className={classes.plots}>
        <Plot title="Confidence" times={times} series={series.confidence} marks={marks} format={(value) => `${(value * 100).toFixed(0)} %`} />
        <Plot title="Distance to the known examples" times={times} series={series.distance} marks={marks} format={(value) => value.toPrecision(2)} />
        <Plot title="Frames or rows per second" times={times} series={series.fps} marks={marks} floor={0} format={(value) => value.toFixed(value < 10 ? 1 : 0)} />
        <Plot title="Latency" times={times} series={series.latency} marks={marks} floor={0} format={milliseconds} />
      </div>
      <ul className={classes.markKey} aria-label="Upright lines">
        <li data-tone="warn">drift, rollback</li>
        <li data-tone="good">adaptation</li>
        <li data-tone="accent">update</li>
      </ul>
    </>
  );
}
