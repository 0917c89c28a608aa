import { Alert, Button, Kbd, SegmentedControl } from '@mantine/core';
import { modals } from '@mantine/modals';
import { notifications } from '@mantine/notifications';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { HeatMap } from '@/components/ui/HeatMap';
import { Icon } from '@/components/ui/Icon';
import type { DriftEventDetail, EventVerdict, Sample } from '@/lib/api/types';
import { percent } from '@/lib/format';
import { useMay } from '@/lib/session';
import { useGiveVerdicts } from './api/give_verdicts';
import { begin, keysOf, labelOf, type Labelling as State, namedAnew, type Step, type Stored, take, unsent } from './labelling';
import { NewClass } from './NewClass';
import { imageUrl, SampleView } from './SampleView';
import { Reviewers, WhyAsked } from './Question';
import classes from './drift.module.css';

function draftName(eventId: string): string {
  return `tinysphere.draft.${eventId}`;
}

// A page closed by mistake must not cost two dozen labels.
function readDraft(eventId: string): State['draft'] {
  try {
    const kept: unknown = JSON.parse(sessionStorage.getItem(draftName(eventId)) ?? '{}');
    if (typeof kept !== 'object' || kept === null) return {};
    return Object.fromEntries(
      Object.entries(kept).filter((entry): entry is [string, string | null] => entry[1] === null || typeof entry[1] === 'string'),
    );
  } catch {
    return {};
  }
}

/** Scrolls the grid, never the page: who labels looks at the large view. */
function showWithin(thumb: HTMLElement | null) {
  const grid = thumb?.parentElement;
  if (!thumb || !grid) return;
  const [inner, outer] = [thumb.getBoundingClientRect(), grid.getBoundingClientRect()];
  if (inner.top < outer.top) grid.scrollTop += inner.top - outer.top;
  else if (inner.bottom > outer.bottom) grid.scrollTop += inner.bottom - outer.bottom;
  if (inner.left < outer.left) grid.scrollLeft += inner.left - outer.left;
  else if (inner.right > outer.right) grid.scrollLeft += inner.right - outer.right;
}

function Thumb({ sample, place, label, isCurrent, isUnsent, onGo }: {
  sample: Sample;
  place: number;
  label: string | null;
  isCurrent: boolean;
  isUnsent: boolean;
  onGo: () => void;
}) {
  const ref = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (isCurrent) showWithin(ref.current);
  }, [isCurrent]);
  return (
    <button
      ref={ref}
      type="button"
      data-labelling
      className={classes.thumb}
      aria-current={isCurrent}
      aria-label={`Sample ${sample.index}, ${label === null ? 'no label' : `label ${label}`}`}
      onClick={onGo}
    >
      {sample.media === 'image' && <img src={imageUrl(sample)} alt="" loading="lazy" />}
      {sample.media === 'row' && sample.row !== null && (
        <HeatMap
          title=""
          hideTitle
          values={sample.row}
          scale={{ kind: 'level', low: Math.min(...sample.row), high: Math.max(...sample.row) }}
          size={72}
        />
      )}
      {sample.media === null && <Icon name="evidence" />}
      <span className={classes.place} aria-hidden="true">
        {place}
      </span>
      <span className={classes.thumbLabel} data-state={label === null ? 'none' : isUnsent ? 'unsent' : 'sent'}>
        {label ?? '?'}
      </span>
    </button>
  );
}

const verdicts: { value: EventVerdict; label: string }[] = [
  { value: 'real', label: 'Real change' },
  { value: 'false_alarm', label: 'False alarm' },
  { value: 'expected', label: 'Expected' },
];

const verdictTexts: Record<EventVerdict, string> = {
  real: 'The world changed; the labels decide how the device adapts.',
  false_alarm: 'Nothing changed; the device takes what it saw as usual.',
  expected: 'It changed as planned; the device takes the new as usual.',
};

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest('input[type="text"], textarea, select, [role="dialog"], [contenteditable]') !== null;
}

export function Labelling({ event, named }: { event: DriftEventDetail; named: ReadonlySet<number> }) {
  const mayLabel = useMay('operator');
  const give = useGiveVerdicts(event.event_id);
  const samples = event.samples;
  const stored = useMemo<Stored>(
    () => samples.map((sample) => ({ sample_id: sample.sample_id, label: sample.verdict?.label ?? null })),
    [samples],
  );
  const [state, setState] = useState(() => begin(stored, readDraft(event.event_id)));
  const [verdict, setVerdict] = useState<EventVerdict | null>(null);
  const [isNaming, setIsNaming] = useState(false);
  const gridRef = useRef<HTMLDivElement>(null);
  const news = useMemo(() => namedAnew(state, stored, event.labels), [state, stored, event.labels]);
  const labels = useMemo(() => [...event.labels, ...news], [event.labels, news]);
  const opened = useMemo(() => [...event.opened, ...news], [event.opened, news]);
  const byKey = useMemo(() => keysOf(labels, opened), [labels, opened]);
  const keyOf = useMemo(() => new Map([...byKey].map(([key, label]) => [label, key])), [byKey]);

  const step = useCallback((next: Step) => setState((before) => take(before, next, stored)), [stored]);

  useEffect(() => {
    if (Object.keys(state.draft).length === 0) sessionStorage.removeItem(draftName(event.event_id));
    else sessionStorage.setItem(draftName(event.event_id), JSON.stringify(state.draft));
  }, [state.draft, event.event_id]);

  const toSend = unsent(state, stored, event.labels);
  const done = stored.filter((sample) => labelOf(state, sample) !== null).length;
  const shownVerdict = verdict ?? event.event_verdict ?? 'real';
  const isVerdictNew = verdict !== null && verdict !== event.event_verdict;
  const maySend = mayLabel && !give.isPending && (toSend.length > 0 || isVerdictNew);

  const send = useCallback(() => {
    if (!maySend) return;
    give.mutate(
      { labels: toSend, event_verdict: shownVerdict },
      {
        onSuccess: () => {
          step({ do: 'sent' });
          setVerdict(null);
          notifications.show({
            color: 'green',
            message: `${toSend.length} ${toSend.length === 1 ? 'label' : 'labels'} sent. ${event.device_name} takes them when it next asks.`,
          });
        },
      },
    );
  }, [maySend, give, toSend, shownVerdict, step, event.device_name]);

  useEffect(() => {
    if (!mayLabel) return undefined;
    const onKey = (key: KeyboardEvent) => {
      if (isTyping(key.target)) return;
      if ((key.ctrlKey || key.metaKey) && key.key === 'Enter') {
        key.preventDefault();
        send();
        return;
      }
      if (key.ctrlKey || key.metaKey || key.altKey) {
        if (key.key === 'z' && !key.altKey) {
          key.preventDefault();
          step({ do: 'undo' });
        }
        return;
      }
      // A button in focus keeps its own keys; those of the labelling itself do not need them.
      const onControl =
        key.target instanceof HTMLElement &&
        key.target.closest('button, a, input, summary, [role="radio"]') !== null &&
        key.target.closest('[data-labelling]') === null;
      const columns = () => {
        const grid = gridRef.current;
        return grid === null ? 1 : Math.max(1, getComputedStyle(grid).gridTemplateColumns.split(' ').length);
      };
      const label = byKey.get(key.key.toLowerCase());
      const steps: Record<string, () => Step> = {
        ArrowLeft: () => ({ do: 'move', by: -1 }),
        ArrowRight: () => ({ do: 'move', by: 1 }),
        ArrowUp: () => ({ do: 'move', by: -columns() }),
        ArrowDown: () => ({ do: 'move', by: columns() }),
        Backspace: () => ({ do: 'undo' }),
        Delete: () => ({ do: 'clear' }),
        ' ': () => ({ do: 'skip' }),
      };
      if (onControl && (key.key.startsWith('Arrow') || key.key === ' ')) return;
      const found = label === undefined ? steps[key.key]?.() : ({ do: 'choose', label } as const);
      if (found === undefined) return;
      key.preventDefault();
      step(found);
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, [mayLabel, byKey, step, send]);

  const current = samples[state.at];
  if (current === undefined) return null;
  const currentLabel = labelOf(state, { sample_id: current.sample_id, label: current.verdict?.label ?? null });
  // What was sent was learned from; what was not is only crossed out.
  const takeBack = () => {
    const sent = current.verdict;
    if (sent === null || currentLabel !== sent.label) {
      step({ do: 'clear' });
      return;
    }
    const others = [...new Set(sent.reviewers.map((each) => each.by))];
    modals.openConfirmModal({
      title: `Take the label ${sent.label} back?`,
      children: `The device forgets what it learned from it once you have sent this.${others.length > 1 ? ` It takes back everybody's word on this sample: ${others.join(', ')}.` : ''}`,
      labels: { confirm: 'Take it back', cancel: 'Keep it' },
      confirmProps: { color: 'red' },
      onConfirm: () => step({ do: 'clear' }),
    });
  };

  return (
    <div className={classes.labelling}>
      <NewClass
        opened={isNaming}
        labels={labels}
        device={event.device_name}
        onClose={() => setIsNaming(false)}
        onName={(label) => {
          setIsNaming(false);
          step({ do: 'choose', label });
        }}
      />
      <div className={classes.stage}>
        <div className={classes.view}>
          <SampleView sample={current} event={event} named={named} />
        </div>
        <p className={classes.said}>
          Sample <strong>{current.index}</strong> · the device said <strong>{current.prediction}</strong> at{' '}
          {percent(current.confidence)}
          {current.neighbours.length > 0 && <> · nearest known {[...new Set(current.neighbours.map((each) => each.label))].join(', ')}</>}
        </p>
        <WhyAsked sample={current} place={state.at + 1} of={samples.length} />
        <Reviewers sample={current} />
        {mayLabel && (
          <div className={classes.classes} role="group" aria-label="Label of this sample">
            {labels.map((label) => (
              <button
                key={label}
                type="button"
                data-labelling
                data-opened={opened.includes(label)}
                className={classes.class}
                aria-pressed={currentLabel === label}
                title={opened.includes(label) ? 'A class that the model never had; people opened it' : undefined}
                onClick={() => step({ do: 'choose', label })}
              >
                {label}
                {keyOf.get(label) !== label.toLowerCase() && <Kbd size="xs">{keyOf.get(label)}</Kbd>}
              </button>
            ))}
            <button type="button" className={classes.newClass} onClick={() => setIsNaming(true)}>
              New class…
            </button>
          </div>
        )}
        {mayLabel && (
          <div className={classes.tools}>
            <Button size="compact-sm" variant="default" onClick={() => step({ do: 'undo' })} disabled={state.past.length === 0}>
              Undo
            </Button>
            <Button size="compact-sm" variant="default" onClick={() => step({ do: 'skip' })}>
              Skip
            </Button>
            {currentLabel !== null && (
              <Button size="compact-sm" variant="default" onClick={takeBack}>
                Take the label back
              </Button>
            )}
            <span className={classes.hint}>
              <Kbd size="xs">{labels.length > 0 ? [...byKey.keys()].at(0) : ''}</Kbd>–
              <Kbd size="xs">{[...byKey.keys()].at(-1)}</Kbd> label <Kbd size="xs">←</Kbd>
              <Kbd size="xs">→</Kbd> move <Kbd size="xs">Space</Kbd> skip <Kbd size="xs">⌫</Kbd> undo{' '}
              <Kbd size="xs">Ctrl</Kbd> <Kbd size="xs">Enter</Kbd> send
            </span>
          </div>
        )}
      </div>

      <div className={classes.side}>
        <div className={classes.progressHead}>
          <strong>
            {done} of {samples.length} labelled
          </strong>
          {toSend.length > 0 && <span className={classes.unsentNote}>{toSend.length} not sent yet</span>}
        </div>
        <div
          className={classes.progress}
          role="progressbar"
          aria-label="Samples labelled"
          aria-valuemin={0}
          aria-valuemax={samples.length}
          aria-valuenow={done}
        >
          <span style={{ width: `${(done / samples.length) * 100}%` }} />
        </div>
        <div className={classes.grid} ref={gridRef}>
          {samples.map((sample, index) => {
            const label = labelOf(state, { sample_id: sample.sample_id, label: sample.verdict?.label ?? null });
            return (
              <Thumb
                key={sample.sample_id}
                sample={sample}
                place={index + 1}
                label={label}
                isCurrent={index === state.at}
                isUnsent={label !== (sample.verdict?.label ?? null)}
                onGo={() => step({ do: 'go', to: index })}
              />
            );
          })}
        </div>
        {mayLabel ? (
          <div className={classes.send}>
            <SegmentedControl
              fullWidth
              size="xs"
              aria-label="What the event was"
              data={verdicts}
              value={shownVerdict}
              onChange={(value) => setVerdict(value as EventVerdict)}
            />
            <p className={classes.hint}>{verdictTexts[shownVerdict]}</p>
            {give.error && (
              <Alert color="red" role="alert" variant="light">
                Not sent: {give.error.message} The labels are kept here.
              </Alert>
            )}
            <Button onClick={send} disabled={!maySend} loading={give.isPending}>
              {toSend.length === 0 ? (isVerdictNew ? 'Send the verdict' : 'Nothing to send') : `Send ${toSend.length} ${toSend.length === 1 ? 'label' : 'labels'}`}
            </Button>
          </div>
        ) : (
          <p className={classes.hint}>An operator can label these samples.</p>
        )}
      </div>
    </div>
  );
}
