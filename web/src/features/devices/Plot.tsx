// One plot over time, with what happened drawn as upright lines. uPlot draws on a canvas, so colours
// are read from the page's tokens each time the scheme changes.

import { useComputedColorScheme } from '@mantine/core';
import { useEffect, useLayoutEffect, useRef } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import classes from './devices.module.css';

export interface Series {
  label: string;
  values: (number | null)[];
}

export interface Mark {
  at: number; // Seconds.
  tone: 'warn' | 'good' | 'accent';
}

interface PlotProps {
  title: string;
  times: number[]; // Seconds.
  series: Series[];
  marks: Mark[];
  format: (value: number) => string;
  /** The axis reaches from here at least. */
  floor?: number;
}

const HEIGHT = 150;

export function Plot({ title, times, series, marks, format, floor }: PlotProps) {
  const scheme = useComputedColorScheme('light');
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  // The drawing reads what is newest without being built anew.
  const newest = useRef({ marks, format });
  useLayoutEffect(() => {
    newest.current = { marks, format };
  });
  const names = series.map((each) => each.label).join('|');

  useEffect(() => {
    const element = holder.current;
    if (element === null) return;
    const style = getComputedStyle(document.documentElement);
    const token = (name: string) => style.getPropertyValue(name).trim();
    const axis: uPlot.Axis = {
      stroke: token('--ink-3'),
      font: '11px Inter, sans-serif',
      grid: { stroke: token('--line'), width: 1 },
      ticks: { show: false },
    };
    const drawMarks = (u: uPlot) => {
      u.ctx.save();
      u.ctx.lineWidth = devicePixelRatio;
      u.ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
      for (const mark of newest.current.marks) {
        const x = u.valToPos(mark.at, 'x', true);
        if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) continue;
        u.ctx.strokeStyle = token(mark.tone === 'accent' ? '--accent' : `--${mark.tone}-mark`);
        u.ctx.beginPath();
        u.ctx.moveTo(x, u.bbox.top);
        u.ctx.lineTo(x, u.bbox.top + u.bbox.height);
        u.ctx.stroke();
      }
      u.ctx.restore();
    };
    const made = new uPlot(
      {
        width: element.clientWidth || 300,
        height: HEIGHT,
        padding: [8, 18, 0, 0],
        cursor: { y: false, points: { size: 6 } },
        legend: { live: true },
        scales: {
          y: {
            range: (_, low, high) => {
              const least = floor === undefined ? low : Math.min(floor, low);
              const span = high - least || Math.abs(high) || 1;
              return [floor === undefined ? least - span * 0.08 : least, high + span * 0.08];
            },
          },
        },
        axes: [
          { ...axis, size: 26, space: 70, values: (_, splits) => splits.map((at) => new Date(at * 1000).toTimeString().slice(0, 5)) },
          { ...axis, size: 52, values: (_, splits) => splits.map((value) => newest.current.format(value)) },
        ],
        series: [
          { label: 'Time', value: (_, at) => (at === null ? '–' : new Date(at * 1000).toTimeString().slice(0, 8)) },
          ...names.split('|').map((label, index) => ({
            label,
            stroke: token(index === 0 ? '--series-1' : '--series-2'),
            width: 1.6,
            points: { show: false },
            value: (_: uPlot, value: number | null) => (value === null ? '–' : newest.current.format(value)),
          })),
        ],
        hooks: { draw: [drawMarks] },
      },
      [[], ...names.split('|').map(() => [])],
      element,
    );
    plot.current = made;
    const resize = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    resize.observe(element);
    return () => {
      resize.disconnect();
      made.destroy();
      plot.current = null;
    };
    // The scheme is read from the page, not from the value.
    // oxlint-disable-next-line react/exhaustive-effect-dependencies
  }, [scheme, names, floor]);

  useEffect(() => {
    plot.current?.setData([times, ...series.map((each) => each.values)]);
    // Marks are drawn from a ref; a plot built anew needs its data again.
    // oxlint-disable-next-line react/exhaustive-effect-dependencies
  }, [times, series, marks, scheme, names, floor]);

  return (
    <figure className={classes.plot} aria-label={title}>
      <figcaption>{title}</figcaption>
      <div ref={holder} />
    </figure>
  );
}
