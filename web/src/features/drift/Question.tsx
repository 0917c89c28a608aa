import { Tag } from '@/components/ui/Tag';
import type { Sample } from '@/lib/api/types';
import { percent, words } from '@/lib/format';
import { outcomeInWords, outcomeTone } from '@/lib/label_outcome';
import classes from './drift.module.css';

function noveltyInWords(novelty: number): string {
  if (novelty < 0.55) return 'looks like what is known';
  return novelty < 0.75 ? 'lies farther off than usual' : 'looks like nothing known';
}

/** Why this sample is asked about, and why now: the first answer changes most. */
export function WhyAsked({ sample, place, of }: { sample: Sample; place: number; of: number }) {
  const parts = [
    sample.cluster_mass === null ? null : `stands for ${percent(sample.cluster_mass)} of the quarantine`,
    sample.cluster_accuracy === null ? null : `of those about ${percent(sample.cluster_accuracy)} were answered right`,
    sample.novelty === null ? null : noveltyInWords(sample.novelty),
  ].filter((part) => part !== null);
  return (
    <p className={classes.asked}>
      <strong>
        Question {place} of {of}
      </strong>
      {sample.reason !== '' && <> · {words(sample.reason)}</>}
      {parts.length > 0 && <> · {parts.join(' · ')}</>}
    </p>
  );
}

/** Who said what of it, how much the label weighs, and what the device made of it. */
export function Reviewers({ sample }: { sample: Sample }) {
  const verdict = sample.verdict;
  if (verdict === null) return null;
  const newest = new Map<string, string>();
  for (const { by, label } of verdict.reviewers) if (!newest.has(by)) newest.set(by, label);
  const said = newest.size === 0 ? [[verdict.by, verdict.label] as const] : [...newest];
  return (
    <div className={classes.reviewers} role="group" aria-label="What was said of this sample">
      {said.map(([by, label]) => (
        <span key={by}>
          {by}: <strong>{label}</strong>
        </span>
      ))}
      {said.length > 1 && (
        <Tag tone={verdict.weight < 1 ? 'warn' : 'good'}>
          {verdict.weight < 1 ? `they differ: weighs ${percent(verdict.weight)}` : 'all agree'}
        </Tag>
      )}
      {sample.outcome !== null && <Tag tone={outcomeTone(sample.outcome)}>{outcomeInWords(sample.outcome)}</Tag>}
    </div>
  );
}
