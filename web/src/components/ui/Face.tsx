import { Button } from '@mantine/core';
import type { ReactNode } from 'react';
import { clock } from '@/lib/format';
import type { View } from '@/lib/view';
import { Icon, type IconName } from './Icon';
import classes from './ui.module.css';

interface Empty {
  icon?: IconName;
  title: string;
  text?: ReactNode;
}

export function EmptyFace({ icon = 'check', title, text }: Empty) {
  return (
    <div className={classes.faceBox}>
      <span className={classes.faceIcon}>
        <Icon name={icon} size={26} />
      </span>
      <div className={classes.faceTitle}>{title}</div>
      {text !== undefined && <div className={classes.faceText}>{text}</div>}
    </div>
  );
}

function LoadingFace() {
  return (
    <div className={classes.skeleton} role="status" aria-label="Loading">
      {[92, 74, 83].map((width) => (
        <div key={width} className={classes.bone} style={{ width: `${width}%` }} />
      ))}
    </div>
  );
}

/** Says that something could not be had, why, and offers to try again. */
export function FailedFace({ what, message, retry }: { what: string; message: string; retry: () => void }) {
  return (
    <div className={classes.faceBox} role="alert">
      <span className={classes.faceIcon}>
        <Icon name="alert" size={26} />
      </span>
      <div className={classes.faceTitle}>Could not load {what}</div>
      <div className={classes.faceText}>{message}</div>
      <Button size="xs" variant="default" onClick={retry}>
        Try again
      </Button>
    </div>
  );
}

interface FaceProps<T> {
  view: View<T>;
  /** What the view shows, for "Could not load ...". */
  what: string;
  empty?: Empty;
  children: (data: T, at: number) => ReactNode;
}

/** Shows the face a view has. */
export function Face<T>({ view, what, empty, children }: FaceProps<T>) {
  switch (view.face) {
    case 'loading':
      return <LoadingFace />;
    case 'failed':
      return <FailedFace what={what} message={view.message} retry={view.retry} />;
    case 'empty':
      return <EmptyFace {...(empty ?? { title: 'Nothing here yet' })} />;
    case 'ready':
      return children(view.data, view.at);
  }
}

/** When the figures were true. */
export function AsOf<T>({ view }: { view: View<T> }) {
  if (view.face !== 'ready') return null;
  if (view.problem !== null) {
    return (
      <span className={`${classes.asOf} ${classes.asOfProblem}`} role="status" title={view.problem}>
        <Icon name="alert" size={14} />
        Not refreshed; as of {clock(view.at)}
      </span>
    );
  }
  return <span className={classes.asOf}>As of {clock(view.at)}</span>;
}
