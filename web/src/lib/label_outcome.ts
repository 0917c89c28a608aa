// What a device says became of a label, as a person says it.

import type { Tone } from '@/components/ui/Tag';
import { words } from '@/lib/format';

const outcomes: Record<string, string> = {
  applied: 'learned from',
  opened_class: 'opened a class',
  replaced: 'replaced an earlier one',
  retracted: 'taken back, and what was learned from it',
  refused: 'refused: it contradicts the others',
  unused: 'not used',
  unknown_sample: 'of a sample the device does not know',
  evicted_sample: 'of a sample the device has let go since',
  unknown_label: 'of a class the model does not have',
  other_bundle: 'for another model than the one that runs',
};

export function outcomeInWords(outcome: string): string {
  return outcomes[outcome] ?? words(outcome);
}

export function outcomeTone(outcome: string): Tone {
  if (outcome === 'applied' || outcome === 'opened_class' || outcome === 'replaced') return 'good';
  return outcome === 'retracted' || outcome === 'unused' ? 'quiet' : 'warn';
}
