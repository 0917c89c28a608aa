import classes from './drift.module.css';

const WIDTH = 480;
const HEIGHT = 120;

interface RowLineProps {
  row: number[];
  mean: number[] | null;
  sd: number[] | null;
}

/** The row as a line over its channels, above the band of what is usual. */
export function RowLine({ row, mean, sd }: RowLineProps) {
  const bandHigh = mean?.map((value, channel) => value + 2 * (sd?.[channel] ?? 0)) ?? [];
  const bandLow = mean?.map((value, channel) => value - 2 * (sd?.[channel] ?? 0)) ?? [];
  const all = [...row, ...bandHigh, ...bandLow];
  const low = Math.min(...all);
  const high = Math.max(...all);
  const span = high - low || 1;
  const point = (value: number, channel: number) =>
    `${((channel / Math.max(1, row.length - 1)) * WIDTH).toFixed(1)},${(HEIGHT - 4 - ((value - low) / span) * (HEIGHT - 8)).toFixed(1)}`;
  const line = (values: number[]) => values.map(point).join(' ');
  const band = mean === null ? '' : [...bandHigh.map(point), ...bandLow.map(point).toReversed()].join(' ');

  return (
    <figure className={classes.line}>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label="The row as a line, with the usual band">
        {mean !== null && <polygon points={band} style={{ fill: 'var(--quiet-bg)' }} />}
        {mean !== null && (
          <polyline points={line(mean)} style={{ fill: 'none', stroke: 'var(--quiet-mark)', strokeWidth: 1.2 }} vectorEffect="non-scaling-stroke" />
        )}
        <polyline points={line(row)} style={{ fill: 'none', stroke: 'var(--series-2)', strokeWidth: 1.6 }} vectorEffect="non-scaling-stroke" />
      </svg>
      <figcaption>
        <span>channel 0</span>
        <span>{mean === null ? 'this row' : 'this row over the usual mean and ±2 σ'}</span>
        <span>channel {row.length - 1}</span>
      </figcaption>
    </figure>
  );
}
