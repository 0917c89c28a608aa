import { Alert, Button } from '@mantine/core';
import type { DriftEventDetail } from '@/lib/api/types';
import { useMay } from '@/lib/session';
import { useRequestSamples } from './api/request_samples';
import classes from './drift.module.css';

const AT_A_TIME = 24; // As many as a question has.

/** A person for whom the samples are not enough asks the device for more of the same event. */
export function MoreSamples({ event }: { event: DriftEventDetail }) {
  const mayAsk = useMay('operator');
  const request = useRequestSamples(event.event_id);
  const { is_awaited: isAwaited, left } = event.more_samples;
  if (isAwaited) {
    return <p className={classes.hint}>More samples are asked for. {event.device_name} sends what it has when it next asks.</p>;
  }
  if (!mayAsk) return null;
  return (
    <div className={classes.more}>
      {request.error && (
        <Alert color="red" role="alert" variant="light">
          Not asked: {request.error.message}
        </Alert>
      )}
      <Button size="compact-sm" variant="default" disabled={left === 0} loading={request.isPending} onClick={() => request.mutate(Math.min(AT_A_TIME, left))}>
        Ask for more samples
      </Button>
      {left === 0 && <span className={classes.hint}>As many were asked for as a device sends of one event.</span>}
    </div>
  );
}
