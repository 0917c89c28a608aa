import type { ReactNode } from 'react';
import type { Tone } from './Tag';
import classes from './ui.module.css';

interface FigureProps {
  label: string;
  value: ReactNode;
  of?: ReactNode;
  note?: ReactNode;
  tone?: Tone;
}

export function Figures({ children }: { children: ReactNode }) {
  return <div className={classes.figures}>{children}</div>;
}

export function Figure({ label, value, of, note, tone = 'quiet' }: FigureProps) {
  return (
    <div className={classes.figure} data-tone={tone} role="group" aria-label={label}>
      <div className={classes.figureLabel}>{label}</div>
      <div className={classes.figureValue}>
        {value}
        {of !== undefined && <small>{of}</small>}
      </div>
      {note !== undefined && <div className={classes.figureNote}>{note}</div>}
    </div>
  );
}

export function Facts({ facts }: { facts: [string, ReactNode][] }) {
  return (
    <dl className={classes.facts}>
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
