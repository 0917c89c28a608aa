import { Fragment } from 'react';
import classes from './ui.module.css';

interface BarListProps {
  label: string;
  bars: { name: string; value: number; text: string }[];
}

/** Named shares, the longest bar being the largest. */
export function BarList({ label, bars }: BarListProps) {
  const most = Math.max(...bars.map((bar) => Math.abs(bar.value)), 0);
  return (
    <div className={classes.bars} role="group" aria-label={label}>
      {bars.map((bar) => (
        <Fragment key={bar.name}>
          <span>{bar.name}</span>
          <span className={classes.bar}>
            <span style={{ width: most > 0 ? `${(Math.abs(bar.value) / most) * 100}%` : 0 }} />
          </span>
          <span className={classes.barValue}>{bar.text}</span>
        </Fragment>
      ))}
    </div>
  );
}
