import { Tag } from '@/components/ui/Tag';
import { Icon } from '@/components/ui/Icon';
import { stateInWords, stateTone } from '@/lib/adaptation_words';
import type { Transition } from '@/lib/api/types';
import { ago, count, dateTime } from '@/lib/format';
import { useNow } from '@/lib/now';
import classes from './adaptation.module.css';

/** From which state to which, and why: newest first. */
export function TransitionList({ transitions }: { transitions: (Transition & { reported_at?: string })[] }) {
  const now = useNow();
  return (
    <ol className={classes.transitions}>
      {transitions.map((each) => (
        <li key={`${each.index} ${each.from} ${each.to} ${each.reported_at ?? ''}`} className={classes.transition}>
          <span className={classes.step}>
            <span className={classes.from}>{stateInWords(each.from)}</span>
            <Icon name="arrow" size={13} />
            <Tag tone={stateTone(each.to)}>{stateInWords(each.to)}</Tag>
          </span>
          <span className={classes.when}>
            sample {count(each.index)}
            {each.reported_at !== undefined && (
              <>
                {' · '}
                <time dateTime={each.reported_at} title={`reported ${dateTime(each.reported_at)}`}>
                  {ago(each.reported_at, now)}
                </time>
              </>
            )}
          </span>
          <p className={classes.why}>{each.why}</p>
        </li>
      ))}
    </ol>
  );
}
