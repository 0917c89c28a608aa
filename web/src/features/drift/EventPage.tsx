import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useMemo } from 'react';
import { AdaptationCard } from '@/components/adaptation/AdaptationCard';
import { BarList } from '@/components/ui/BarList';
import { AsOf, EmptyFace, Face } from '@/components/ui/Face';
import { Facts } from '@/components/ui/Figure';
import { HeatMap, squareSide } from '@/components/ui/HeatMap';
import { Page, Panel } from '@/components/ui/Page';
import { EventStateTag, Tag } from '@/components/ui/Tag';
import type { DriftEventDetail } from '@/lib/api/types';
import { count, dateTime, eventTitle, kindInWords, percent, sentence, sigma, UNKNOWN, words } from '@/lib/format';
import { viewOf } from '@/lib/view';
import { useWhyNotJudged } from '@/lib/why_not_judged';
import { driftEventQuery } from './api/get_drift_event';
import { Labelling } from './Labelling';
import { MoreSamples } from './MoreSamples';
import classes from './drift.module.css';

function channelsOf(event: DriftEventDetail): number | null {
  return event.reference_row_mean?.length ?? event.samples.find((sample) => sample.row !== null)?.row?.length ?? null;
}

const BARS_MAX = 8;

function signedSigma(value: number): string {
  return `${value > 0 ? '+' : ''}${sigma(value)}`;
}

function Channels({ event }: { event: DriftEventDetail }) {
  const total = channelsOf(event);
  const bars = event.channels
    .toSorted((a, b) => Math.abs(b.shift_sigma) - Math.abs(a.shift_sigma))
    .slice(0, BARS_MAX)
    .map((channel) => ({ name: channel.name, value: channel.shift_sigma, text: signedSigma(channel.shift_sigma) }));
  const values = useMemo(() => {
    const all: (number | null)[] = Array.from({ length: total ?? 0 }, () => null);
    for (const channel of event.channels) all[channel.index] = channel.shift_sigma;
    return all.map((value) => value ?? 0);
  }, [event.channels, total]);
  const named = useMemo(() => new Set(event.channels.map((channel) => channel.index)), [event.channels]);

  return (
    <div className={classes.channels}>
      {total !== null && squareSide(total) !== null && (
        <HeatMap title={`${event.channels.length} of ${total} channels moved`} values={values} unit=" σ" scale={{ kind: 'shift', most: 6 }} marked={named} size={190} />
      )}
      <div className={classes.channelBars}>
        <BarList label="Channels by shift" bars={bars} />
        {event.channels.length > BARS_MAX && <p className={classes.hint}>and {event.channels.length - BARS_MAX} more</p>}
      </div>
    </div>
  );
}

function WhatChanged({ event }: { event: DriftEventDetail }) {
  const { severity, change_point: change, evidence } = event;
  return (
    <>
      <p className={classes.explanation}>{event.text}</p>
      <Facts
        facts={[
          ['Kind', kindInWords(event.kind)],
          ['Severity', sigma(severity.sigma)],
          ...(severity.accuracy_drop === null
            ? []
            : [['Accuracy lost, estimated', `${percent(severity.accuracy_drop)}${severity.interval === null ? '' : ` (${severity.interval.map((each) => percent(each)).join(' to ')})`}`] as [string, string]]),
          ['Began at sample', `${count(change.sample_index)}${change.interval === null ? '' : ` (${change.interval.map(count).join(' to ')})`}`],
          ['Noticed at sample', `${count(event.sample_index)}, ${count(event.sample_index - change.sample_index)} later`],
          ['Model', event.model === null ? UNKNOWN : `${event.model.name ?? 'unknown bundle'} ${event.model.version ?? ''}`],
          ['Received', dateTime(event.received_at)],
          ...(evidence.log10_e === null ? [] : [['Evidence against chance', `10^${evidence.log10_e.toFixed(1)}`] as [string, string]]),
          ...(evidence.target_samples === null ? [] : [['False alarms accepted', `one in ${count(evidence.target_samples)} samples`] as [string, string]]),
          ...(event.suppressed_since_last > 0 ? [['Repeats held back', count(event.suppressed_since_last)] as [string, string]] : []),
        ]}
      />
    </>
  );
}

export function EventPage({ eventId }: { eventId: string }) {
  const view = viewOf(useQuery(driftEventQuery(eventId)));
  const event = view.face === 'ready' ? view.data : undefined;
  const whyNotJudged = useWhyNotJudged();
  const named = useMemo(
    // Of an image the channels are dimensions of its features, which nobody can point at.
    () => new Set(event !== undefined && channelsOf(event) !== null ? event.channels.map((channel) => channel.index) : []),
    [event],
  );

  return (
    <Page
      title={event === undefined ? 'Drift event' : `${eventTitle(event.kind)} on ${event.device_name}`}
      back={{ to: '/drift', label: 'Drift Hub' }}
      lead={
        event && (
          <span className={classes.tags}>
            <EventStateTag event={event} />
            {event.event_verdict !== null && <Tag>{sentence(event.event_verdict)}</Tag>}
            <Link to="/devices/$deviceId" params={{ deviceId: event.device_id }}>
              {event.device_name}
            </Link>
          </span>
        )
      }
      actions={<AsOf view={view} />}
    >
      <Face view={view} what="the drift event">
        {(data) => (
          <div className={classes.stack}>
            <Panel title="What changed">
              <WhatChanged event={data} />
            </Panel>
            <Panel title="Samples to label" note={data.samples.length > 0 ? 'in the order in which an answer says most about the rest' : undefined}>
              {data.samples.length === 0 ? (
                <EmptyFace icon="evidence" title="No samples have arrived yet" text="The device sends them in a package of their own." />
              ) : (
                <Labelling event={data} named={named} />
              )}
              <MoreSamples event={data} />
            </Panel>
            {data.adaptations.length > 0 && (
              <Panel title="What the device did about it" note="newest first" flush>
                {data.adaptations.map((each) => (
                  <AdaptationCard key={each.adaptation_id} adaptation={each} whyNotJudged={whyNotJudged} />
                ))}
              </Panel>
            )}
            <div className={classes.columns}>
              {data.channels.length > 0 && (
                <Panel title={channelsOf(data) === null ? 'Feature dimensions that moved' : 'Channels that moved'}>
                  <Channels event={data} />
                </Panel>
              )}
              {data.classes.length > 0 && (
                <Panel title="Classes concerned">
                  <BarList label="Share of each class" bars={data.classes.map((each) => ({ name: each.label, value: each.share, text: percent(each.share) }))} />
                </Panel>
              )}
              {data.signals.length > 0 && (
                <Panel title="Signals">
                  <BarList label="Share of each signal" bars={data.signals.map((each) => ({ name: words(each.name), value: each.share, text: each.shift_sigma === undefined || each.shift_sigma === null ? percent(each.share) : `${percent(each.share)}, ${signedSigma(each.shift_sigma)}` }))} />
                </Panel>
              )}
            </div>
          </div>
        )}
      </Face>
    </Page>
  );
}
