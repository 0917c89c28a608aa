import { Button, Checkbox } from '@mantine/core';
import { useState } from 'react';
import { HeatMap, squareSide } from '@/components/ui/HeatMap';
import { Icon } from '@/components/ui/Icon';
import type { DriftEventDetail, Sample } from '@/lib/api/types';
import { RowLine } from './RowLine';
import classes from './drift.module.css';

export function imageUrl(sample: Sample): string {
  return `/api/v1/samples/${encodeURIComponent(sample.sample_id)}/image`;
}

function Picture({ sample }: { sample: Sample }) {
  const [tries, setTries] = useState(0);
  const [isBroken, setIsBroken] = useState(false);
  if (isBroken) {
    return (
      <div className={classes.broken} role="alert">
        <Icon name="alert" />
        The picture could not be loaded.
        <Button
          size="xs"
          variant="default"
          onClick={() => {
            setTries(tries + 1);
            setIsBroken(false);
          }}
        >
          Try again
        </Button>
      </div>
    );
  }
  return (
    <img
      key={tries}
      className={classes.picture}
      src={tries === 0 ? imageUrl(sample) : `${imageUrl(sample)}?again=${tries}`}
      alt={`Sample ${sample.index}`}
      onError={() => setIsBroken(true)}
    />
  );
}

interface Reference {
  mean: number[] | null;
  sd: number[] | null;
}

function Row({ sample, row, reference, named }: { sample: Sample; row: number[]; reference: Reference; named: ReadonlySet<number> }) {
  const [hidesNamed, setHidesNamed] = useState(false);
  const { mean, sd } = reference;
  const shownRow = row.map((value, channel) => (hidesNamed && named.has(channel) ? null : value));
  // One scale for both, taken from the reference where there is one: a channel that left it is full.
  const base = mean ?? row;
  const low = Math.min(0, ...base);
  const high = Math.max(...base, ...row.filter((_, channel) => !named.has(channel)), low + 1e-9);
  const shift = mean === null ? null : row.map((value, channel) => {
    const spread = sd?.[channel];
    const change = value - (mean[channel] ?? 0);
    return spread !== undefined && spread > 1e-6 ? change / spread : change;
  });

  return (
    <div className={classes.row}>
      {squareSide(row.length) !== null && (
        <div className={classes.maps}>
          <HeatMap title={`Row ${sample.index}`} values={shownRow} scale={{ kind: 'level', low, high }} marked={named} size={210} />
          {mean !== null && <HeatMap title="Usual (mean before)" values={mean} scale={{ kind: 'level', low, high }} size={130} />}
          {shift !== null && <HeatMap title="Change, in σ" values={shift} unit=" σ" scale={{ kind: 'shift', most: 6 }} size={130} />}
        </div>
      )}
      <RowLine row={row} mean={mean} sd={sd} />
      {named.size > 0 && (
        <Checkbox
          size="xs"
          label="Leave out the channels that moved"
          checked={hidesNamed}
          onChange={(event) => setHidesNamed(event.currentTarget.checked)}
        />
      )}
    </div>
  );
}

/** The sample in view, large. */
export function SampleView({ sample, event, named }: { sample: Sample; event: DriftEventDetail; named: ReadonlySet<number> }) {
  if (sample.media === 'image') return <Picture key={sample.sample_id} sample={sample} />;
  if (sample.media === 'row' && sample.row !== null) {
    return (
      <Row
        sample={sample}
        row={sample.row}
        reference={{ mean: event.reference_row_mean, sd: event.reference_row_sd }}
        named={named}
      />
    );
  }
  if (sample.media === 'expired') {
    return <div className={classes.broken}>The picture of this sample is gone: pictures are kept for a limited time here.</div>;
  }
  return <div className={classes.broken}>The device sent no picture of this sample: it has no consent to.</div>;
}
