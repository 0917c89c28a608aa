import { Alert, Button } from '@mantine/core';
import { modals } from '@mantine/modals';
import { notifications } from '@mantine/notifications';
import type { ReactNode } from 'react';
import { Facts } from '@/components/ui/Figure';
import { Tag } from '@/components/ui/Tag';
import {
  judgementInWords,
  orderInWords,
  orderStateInWords,
  outcomeCounts,
  servedInWords,
  stateInWords,
  stateTone,
} from '@/lib/adaptation_words';
import type { Adaptation, AdaptationOrder } from '@/lib/api/types';
import { ago, count, dateTime, decimal, percent, words } from '@/lib/format';
import { outcomeInWords, outcomeTone } from '@/lib/label_outcome';
import { useNow } from '@/lib/now';
import { useOrderAdaptation } from '@/lib/order_adaptation';
import { useMay } from '@/lib/session';
import { Judged } from './JudgementPlot';
import classes from './adaptation.module.css';

function short(digest: string | null): ReactNode {
  return digest === null ? 'the bundle alone' : <code title={digest}>{digest.slice(0, 12)}</code>;
}

/** What would be different, from what the device said of it. */
function whatChanges(adaptation: Adaptation): [string, ReactNode][] {
  const served = servedInWords(adaptation.hypothesis, adaptation.challenger);
  const facts: [string, ReactNode][] = [[adaptation.awaits === 'approval' ? 'Would serve' : 'Serves', served]];
  if (adaptation.label_accuracy_after !== null) {
    const before = adaptation.label_accuracy_before;
    facts.push([
      'Labels right, on the device',
      `${before === null ? '' : `${percent(before)} → `}${percent(adaptation.label_accuracy_after)}`,
    ]);
  }
  if (adaptation.canary_after !== null) {
    const before = adaptation.canary_before;
    facts.push(['Known examples right', `${before === null ? '' : `${percent(before, 1)} → `}${percent(adaptation.canary_after, 1)}`]);
  }
  if (adaptation.adaptation_sha256 !== null) {
    facts.push(['Adaptation', short(adaptation.adaptation_sha256)], ['Before it', short(adaptation.champion_sha256)]);
  }
  return facts;
}

function Orders({ adaptation }: { adaptation: Adaptation }) {
  const mayOrder = useMay('operator');
  const order = useOrderAdaptation(adaptation);
  if (adaptation.may_be.length === 0) return null;
  if (!mayOrder) {
    return adaptation.awaits === 'approval' ? <p className={classes.hint}>An operator can approve or reject it.</p> : null;
  }

  const confirm = (wanted: AdaptationOrder) => {
    const said = orderInWords[wanted];
    modals.openConfirmModal({
      title: said.asks,
      size: 'lg',
      children: (
        <div className={classes.dialog}>
          <p>{said.text}</p>
          <Facts facts={[['Device', adaptation.device_name], ...whatChanges(adaptation)]} />
          {adaptation.judgement !== null && <p className={classes.hint}>The server: {judgementInWords[adaptation.judgement.judgement].toLowerCase()}.</p>}
        </div>
      ),
      labels: { confirm: said.act, cancel: 'Cancel' },
      confirmProps: { color: wanted === 'approve' ? undefined : 'red' },
      onConfirm: () =>
        order.mutate(wanted, {
          onSuccess: () =>
            notifications.show({ color: 'green', message: `${said.act}: ${adaptation.device_name} does it when it next asks.` }),
        }),
    });
  };

  return (
    <>
      <div className={classes.acts}>
        {adaptation.may_be.map((each) => (
          <Button
            key={each}
            size="xs"
            variant={each === 'approve' ? 'filled' : 'default'}
            loading={order.isPending && order.variables === each}
            disabled={order.isPending}
            onClick={() => confirm(each)}
          >
            {orderInWords[each].act}
          </Button>
        ))}
      </div>
      {order.error && (
        <Alert color="red" role="alert" variant="light">
          {order.error.message}
        </Alert>
      )}
    </>
  );
}

function Candidates({ adaptation }: { adaptation: Adaptation }) {
  if (adaptation.candidates.length === 0) return null;
  return (
    <details className={classes.details}>
      <summary>What was tried ({adaptation.candidates.length})</summary>
      <div className={classes.scroll}>
        <table className={classes.table}>
          <thead>
            <tr>
              <th scope="col">Candidate</th>
              <th scope="col">Labels right</th>
              <th scope="col">Distance</th>
              <th scope="col">Why</th>
            </tr>
          </thead>
          <tbody>
            {adaptation.candidates.map((each) => (
              <tr key={`${each.stage} ${each.name}`} data-served={each.verdict === 'served'}>
                <td>
                  {words(each.name)}
                  {each.verdict !== 'rejected' && <Tag tone={each.verdict === 'served' ? 'good' : 'quiet'}>{words(each.verdict)}</Tag>}
                </td>
                <td>{percent(each.score)}</td>
                <td>{each.distance_ratio === null ? '' : `× ${decimal(each.distance_ratio, 2)}`}</td>
                <td className={classes.reason}>{each.reason}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

/** One report: what the device did, what became of the labels, how it was judged, what may be ordered. */
export function AdaptationCard({ adaptation, whyNotJudged }: { adaptation: Adaptation; whyNotJudged?: string | null }) {
  const now = useNow();
  const counts = outcomeCounts(adaptation.labels);
  const hasOne = adaptation.adaptation_sha256 !== null;
  return (
    <article className={classes.card} aria-label={adaptation.text}>
      <header className={classes.cardHead}>
        <Tag tone={stateTone(adaptation.state)}>{stateInWords(adaptation.state)}</Tag>
        {adaptation.awaits === 'approval' && adaptation.is_newest && <Tag tone="act">Waits for approval</Tag>}
        {adaptation.awaits === 'labels' && adaptation.is_newest && <Tag tone="warn">Waits for labels</Tag>}
        <span className={classes.when}>
          sample {count(adaptation.sample_index)} ·{' '}
          <time dateTime={adaptation.received_at} title={dateTime(adaptation.received_at)}>
            {ago(adaptation.received_at, now)}
          </time>
        </span>
      </header>
      <p className={classes.text}>{adaptation.text}</p>
      {(hasOne || adaptation.hypothesis !== null || adaptation.challenger !== null) && <Facts facts={whatChanges(adaptation)} />}
      {counts.length > 0 && (
        <ul className={classes.outcomes} aria-label="What became of the labels">
          {counts.map(({ outcome, count: times }) => (
            <li key={outcome}>
              <Tag tone={outcomeTone(outcome)}>
                {times} {outcomeInWords(outcome)}
              </Tag>
            </li>
          ))}
        </ul>
      )}
      {hasOne && <Judged judgement={adaptation.judgement} whyNot={whyNotJudged} />}
      <Candidates adaptation={adaptation} />
      {adaptation.order !== null && (
        <p className={classes.hint}>
          {adaptation.order.by} {orderInWords[adaptation.order.order].done === 'ordered back' ? 'ordered it back' : `${orderInWords[adaptation.order.order].done} it`}{' '}
          {ago(adaptation.order.at, now)}: {orderStateInWords(adaptation.order)}.
        </p>
      )}
      <Orders adaptation={adaptation} />
    </article>
  );
}
