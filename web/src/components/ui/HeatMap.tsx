// A sensor array drawn as it lies: one square a channel.

import classes from './ui.module.css';

interface HeatMapProps {
  title: string;
  values: readonly (number | null)[];
  /** `level`: from low to high. `shift`: below and above zero, which is no colour at all. */
  scale: { kind: 'level'; low: number; high: number } | { kind: 'shift'; most: number };
  unit?: string;
  /** Channels to outline. */
  marked?: ReadonlySet<number>;
  size?: number;
  hideTitle?: boolean;
}

/** The side of the square that holds `channels`, or null if they fill none. */
export function squareSide(channels: number): number | null {
  const side = Math.round(Math.sqrt(channels));
  return side >= 2 && side * side === channels ? side : null;
}

function colour(value: number | null, scale: HeatMapProps['scale']): string {
  if (value === null) return 'transparent';
  if (scale.kind === 'level') {
    const span = scale.high - scale.low;
    const share = span > 0 ? Math.min(1, Math.max(0, (value - scale.low) / span)) : 0;
    return `color-mix(in oklab, var(--heat-high) ${(share * 100).toFixed(1)}%, var(--heat-low))`;
  }
  const share = scale.most > 0 ? Math.min(1, Math.abs(value) / scale.most) : 0;
  const end = value < 0 ? 'var(--heat-below)' : 'var(--heat-above)';
  return `color-mix(in oklab, ${end} ${(share * 100).toFixed(1)}%, var(--heat-low))`;
}

export function HeatMap({ title, values, scale, unit = '', marked, size = 192, hideTitle = false }: HeatMapProps) {
  const side = squareSide(values.length) ?? Math.ceil(Math.sqrt(values.length));
  const rows = Math.ceil(values.length / side);
  return (
    <figure className={classes.heat} style={{ width: size }}>
      {!hideTitle && <figcaption className={classes.heatTitle}>{title}</figcaption>}
      <svg role="img" aria-label={title} viewBox={`0 0 ${side * 10} ${rows * 10}`}>
        {values.map((value, channel) => (
          // A channel is known by its place; the list never changes its order.
          // oxlint-disable-next-line react/no-array-index-key
          <g key={channel} transform={`translate(${(channel % side) * 10} ${Math.floor(channel / side) * 10})`}>
            <rect
              x={marked?.has(channel) ? 1 : 0.3}
              y={marked?.has(channel) ? 1 : 0.3}
              width={marked?.has(channel) ? 8 : 9.4}
              height={marked?.has(channel) ? 8 : 9.4}
              rx={0.8}
              style={{ fill: colour(value, scale), stroke: marked?.has(channel) ? 'var(--ink)' : 'none', strokeWidth: 0.8 }}
            >
              <title>
                {`channel ${channel}: ${value === null ? 'not named' : `${value.toFixed(2)}${unit}`}`}
              </title>
            </rect>
          </g>
        ))}
      </svg>
    </figure>
  );
}
