// The few signs the dashboard needs, drawn as lines in the text's own colour.

const paths = {
  overview: 'M4 13h6V4H4zM14 20h6V10h-6zM4 20h6v-4H4zM14 7h6V4h-6z',
  devices: 'M7 4h10v16H7zM11 17h2M4 8v8M20 8v8',
  drift: 'M3 17c3 0 4-9 7-9s3 6 5 6 3-4 6-4M3 21h18',
  models: 'M12 3l8 4.5v9L12 21l-8-4.5v-9zM12 12l8-4.5M12 12v9M12 12L4 7.5',
  sun: 'M12 8a4 4 0 100 8 4 4 0 000-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6L19 19M19 5l-1.4 1.4M6.4 17.6L5 19',
  moon: 'M20 14.5A8.5 8.5 0 019.5 4a8.5 8.5 0 1010.5 10.5z',
  auto: 'M12 3a9 9 0 100 18 9 9 0 000-18zM12 3v18',
  out: 'M14 4h5v16h-5M10 8l-4 4 4 4M6 12h9',
  check: 'M5 12.5l4.5 4.5L19 7',
  cross: 'M6 6l12 12M18 6L6 18',
  alert: 'M12 4l9 16H3zM12 10v4M12 17v.5',
  label: 'M4 4h8l8 8-8 8-8-8zM8 8v.1',
  feedback: 'M4 12h13M12 7l5 5-5 5M20 5v14',
  adaptation: 'M4 8h10M18 8h2M4 16h2M10 16h10M16 6v4M8 14v4',
  update: 'M12 20V8M7 12l5-5 5 5M5 4h14',
  rollback: 'M8 5L4 9l4 4M4 9h10a6 6 0 010 12h-3',
  evidence: 'M4 5h16v14H4zM4 15l4-4 4 4 3-3 5 5M15 9v.1',
  package: 'M4 7l8-4 8 4v10l-8 4-8-4zM4 7l8 4 8-4M12 11v10',
  enrolled: 'M12 4v16M4 12h16',
  arrow: 'M5 12h14M13 6l6 6-6 6',
  back: 'M19 12H5M11 6l-6 6 6 6',
  upload: 'M12 16V4M7 9l5-5 5 5M4 20h16',
  pause: 'M8 5v14M16 5v14',
  play: 'M7 4l12 8-12 8z',
  stop: 'M6 6h12v12H6z',
  key: 'M14 10a4 4 0 10-4 4c.7 0 1.4-.2 2-.5l2 2h2v2h2v2h3v-3l-7.5-7.5c.3-.6.5-1.3.5-2z',
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name, size = 18 }: { name: IconName; size?: number }) {
  return (
    <svg
      aria-hidden="true"
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.7"
      strokeLinecap="round"
      strokeLinejoin="round"
      style={{ flex: 'none' }}
    >
      <path d={paths[name]} />
    </svg>
  );
}
