import { Tag } from '@/components/ui/Tag';
import { judgementInWords, judgementTones, points } from '@/lib/adaptation_words';
import type { Judgement } from '@/lib/api/types';
import { count } from '@/lib/format';
import classes from './adaptation.module.css';

const WIDTH = 260;
const HEIGHT = 34;
const EDGE = 8;

/** The largest share the axis shows, either way: at least ten points, so that noise looks small. */
export function reach(judgement: Pick<Judgement, 'difference' | 'interval'>): number {
  const ends = [judgement.difference ?? 0, ...(judgement.interval ?? [])].map(Math.abs);
  return Math.min(1, Math.max(0.1, Math.ceil(Math.max(...ends) * 10) / 10));
}

/** Where it became better or worse, and how surely: a dot, its interval, and the line of no change. */
function Interval({ judgement }: { judgement: Judgement }) {
  const { difference, interval } = judgement;
  if (difference === null) return null;
  const most = reach(judgement);
  const x = (share: number) => WIDTH / 2 + (share / most) * (WIDTH / 2 - EDGE);
  const [low, high] = interval ?? [];
  const text =
    low === undefined || high === undefined
      ? `${points(difference)} of right answers`
      : `${points(difference)} of right answers, 95 % interval ${points(low)} to ${points(high)}`;
  return (
    <svg className={classes.plot} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={text} data-tone={judgementTones[judgement.judgement]}>
      <line className={classes.axis} x1={EDGE} x2={WIDTH - EDGE} y1={14} y2={14} />
      <line className={classes.zero} x1={WIDTH / 2} x2={WIDTH / 2} y1={3} y2={24} />
      {low !== undefined && high !== undefined && (
        <line className={classes.interval} x1={x(low)} x2={x(high)} y1={14} y2={14} />
      )}
      <circle className={classes.dot} cx={x(difference)} cy={14} r={5} />
      <text x={EDGE} y={HEIGHT - 1}>{points(-most)}</text>
      <text x={WIDTH / 2} y={HEIGHT - 1} textAnchor="middle">as before</text>
      <text x={WIDTH - EDGE} y={HEIGHT - 1} textAnchor="end">{points(most)}</text>
    </svg>
  );
}

/** What the server found when it replayed an adaptation against people's labels. */
export function Judged({ judgement, whyNot }: { judgement: Judgement | null; whyNot?: string | null }) {
  if (judgement === null) {
    return <p className={classes.hint}>{whyNot ?? 'Not judged yet: the server replays it against people’s labels once both are here.'}</p>;
  }
  const { labels, right_before: before, right_after: after } = judgement;
  return (
    <div className={classes.judged} role="group" aria-label="The server's judgement">
      <div className={classes.judgedHead}>
        <Tag tone={judgementTones[judgement.judgement]}>{judgementInWords[judgement.judgement]}</Tag>
        {before !== null && after !== null && (
          <span>
            right on {count(after)} of {count(labels)} labelled samples, {count(before)} without it
          </span>
        )}
      </div>
      <Interval judgement={judgement} />
      {judgement.reason !== '' && <p className={classes.hint}>{judgement.reason}</p>}
    </div>
  );
}
