// What a device says of its adaptation, as a person says it.

import type { Adaptation, AdaptationOrder, Judgement } from '@/lib/api/types';
import { sentence, words } from '@/lib/format';
import type { Tone } from '@/components/ui/Tag';

const states: Record<string, string> = {
  learning: 'Learning',
  stable: 'Stable',
  suspect: 'Suspect',
  adapting: 'Adapting',
  probation: 'On probation',
  rolled_back: 'Rolled back',
  escalated: 'Needs a person',
};
const tones: Record<string, Tone> = {
  learning: 'quiet',
  stable: 'good',
  suspect: 'warn',
  adapting: 'warn',
  probation: 'act',
  rolled_back: 'bad',
  escalated: 'bad',
};

export function stateInWords(state: string): string {
  return states[state] ?? sentence(state);
}

export function stateTone(state: string): Tone {
  return tones[state] ?? 'quiet';
}

/** "flat field + mean, labelled"; of a device that changed nothing: "the bundle as it came". */
export function servedInWords(hypothesis: string | null, challenger: string | null): string {
  const parts = [hypothesis, challenger]
    .filter((part): part is string => part !== null && part !== '' && part !== 'identity' && part !== 'none')
    .map((part) => words(part).replaceAll('+', ' + ').replaceAll(/ +/g, ' '));
  return parts.length === 0 ? 'the bundle as it came' : parts.join(' + ');
}

export const judgementTones: Record<Judgement['judgement'], Tone> = {
  helped: 'good',
  harmless: 'quiet',
  harmful: 'bad',
  unknown: 'warn',
};

export const judgementInWords: Record<Judgement['judgement'], string> = {
  helped: 'It helped',
  harmless: 'It did no harm',
  harmful: 'It did harm',
  unknown: 'Nobody can tell yet',
};

/** "+38 points"; a share's difference. */
export function points(difference: number): string {
  const rounded = Math.round(difference * 100);
  const sign = rounded > 0 ? '+' : rounded < 0 ? '−' : '±';
  return `${sign}${Math.abs(rounded)} ${Math.abs(rounded) === 1 ? 'point' : 'points'}`;
}

/** How often each outcome came, the commonest first. */
export function outcomeCounts(labels: Adaptation['labels']): { outcome: string; count: number }[] {
  const counts = new Map<string, number>();
  for (const { outcome } of labels) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  return [...counts].map(([outcome, count]) => ({ outcome, count })).toSorted((a, b) => b.count - a.count);
}

export const orderInWords: Record<AdaptationOrder, { act: string; done: string; asks: string; text: string }> = {
  approve: {
    act: 'Approve',
    done: 'approved',
    asks: 'Let the device serve this adaptation?',
    text: 'It serves on probation first: the one before runs beside it and comes back by itself if this one does worse.',
  },
  reject: {
    act: 'Reject',
    done: 'rejected',
    asks: 'Reject this adaptation?',
    text: 'The device stays as it answers now. Labels that come later can make another proposal.',
  },
  roll_back: {
    act: 'Roll back',
    done: 'ordered back',
    asks: 'Go back to the one before?',
    text: 'The device answers as it did before this adaptation, bit for bit. Its labels are kept.',
  },
};

const deliveries: Record<string, string> = {
  pending: 'on its way',
  delivered: 'the device has it',
  applied: 'done',
};
const answers: Record<string, string> = {
  done: 'the device did it',
  unknown_adaptation: 'the device does not know this adaptation any more',
  unused: 'it came too late: there was nothing to do',
};

export function orderStateInWords(order: NonNullable<Adaptation['order']>): string {
  if (order.outcome !== null) return answers[order.outcome] ?? words(order.outcome);
  return deliveries[order.state] ?? order.state;
}
