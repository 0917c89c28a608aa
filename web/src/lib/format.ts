// Figures as people read them. Zero is a figure; what is not known is a dash.

import dayjs from 'dayjs';

export const UNKNOWN = '–';

type Maybe = number | null | undefined;

const counts = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

function known(value: Maybe): value is number {
  return value !== null && value !== undefined && Number.isFinite(value);
}

export function count(value: Maybe): string {
  return known(value) ? counts.format(value) : UNKNOWN;
}

/** 12,345 stays; 1,234,567 becomes 1.2M. */
export function countShort(value: Maybe): string {
  if (!known(value)) return UNKNOWN;
  return Math.abs(value) < 100_000 ? counts.format(value) : short.format(value);
}

export function decimal(value: Maybe, digits: number): string {
  return known(value) ? value.toFixed(digits) : UNKNOWN;
}

export function percent(share: Maybe, digits = 0): string {
  return known(share) ? `${(share * 100).toFixed(digits)} %` : UNKNOWN;
}

export function milliseconds(value: Maybe): string {
  if (!known(value)) return UNKNOWN;
  if (value === 0) return '0 ms';
  if (value < 1) return `${value.toFixed(2)} ms`;
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`;
}

export function bytes(value: Maybe): string {
  if (!known(value)) return UNKNOWN;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let scaled = value;
  let unit = 0;
  while (scaled >= 1024 && unit < units.length - 1) {
    scaled /= 1024;
    unit += 1;
  }
  return `${unit === 0 || scaled >= 100 ? scaled.toFixed(0) : scaled.toFixed(1)} ${units[unit]}`;
}

export function sigma(value: Maybe): string {
  return known(value) ? `${value.toFixed(1)} σ` : UNKNOWN;
}

/** "just now", "40 s ago", "5 min ago", "3 h ago", "12 Nov 14:03". */
export function ago(time: string | number | null | undefined, now: number): string {
  if (time === null || time === undefined) return 'never';
  const then = dayjs(time);
  const seconds = Math.round((now - then.valueOf()) / 1000);
  if (seconds < 5) return 'just now';
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 24 * 3600) return `${Math.floor(seconds / 3600)} h ago`;
  return then.format('D MMM HH:mm');
}

export function clock(time: string | number): string {
  return dayjs(time).format('HH:mm:ss');
}

export function dateTime(time: string | number | null | undefined): string {
  return time === null || time === undefined ? UNKNOWN : dayjs(time).format('D MMM YYYY, HH:mm:ss');
}

/** "Abrupt drift", "Sensor fault". */
const KINDS: Record<string, string> = {
  abrupt: 'From one sample to the next',
  gradual: 'By and by',
  class_mix: 'Other classes, or in another mix; within a class all is usual',
  unseen_class: 'A part lies far from all examples, the rest is as before: perhaps something never seen',
  sensor_fault: 'Values stand still or lie at an end of their range: look at the sensor',
  noise: 'Values scatter more about the same means',
};

// What a kind of drift looks like, for a person who has not read the manual.
export function kindInWords(kind: string): string {
  return KINDS[kind] ?? 'Too little was seen to tell';
}

export function eventTitle(kind: string): string {
  return kind === 'abrupt' || kind === 'gradual' || kind === 'unknown' ? `${sentence(kind)} drift` : sentence(kind);
}

/** "unseen_class" -> "unseen class". */
export function words(name: string): string {
  return name.replaceAll('_', ' ');
}

export function sentence(name: string): string {
  const text = words(name);
  return text.charAt(0).toUpperCase() + text.slice(1);
}
