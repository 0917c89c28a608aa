// Labelling as a value: which sample is in view, what was said of which, and how to take it back.
// No screen, no network; Labelling.tsx draws it.

export interface Labelling {
  /** Which sample is in view. */
  at: number;
  /** What this person said and has not sent; null takes a sent label back. */
  draft: Readonly<Record<string, string | null>>;
  past: readonly { at: number; draft: Labelling['draft'] }[];
}

export type Step =
  | { do: 'choose'; label: string }
  | { do: 'clear' }
  | { do: 'skip' }
  | { do: 'move'; by: number }
  | { do: 'go'; to: number }
  | { do: 'undo' }
  | { do: 'sent' };

/** The samples in order, with the label that the server holds. */
export type Stored = readonly { sample_id: string; label: string | null }[];

export function labelOf(labelling: Labelling, sample: Stored[number]): string | null {
  const said = labelling.draft[sample.sample_id];
  return said === undefined ? sample.label : said;
}

/** The next sample without a label after `from`, going round once; `from` if there is none. */
export function nextUnlabelled(labelling: Labelling, stored: Stored, from: number): number {
  for (let step = 1; step <= stored.length; step += 1) {
    const index = (from + step) % stored.length;
    const sample = stored[index];
    if (sample !== undefined && labelOf(labelling, sample) === null) return index;
  }
  return from;
}

export function begin(stored: Stored, draft: Labelling['draft'] = {}): Labelling {
  const fresh = { at: 0, draft, past: [] };
  const first = stored[0];
  return first !== undefined && labelOf(fresh, first) !== null
    ? { ...fresh, at: nextUnlabelled(fresh, stored, 0) }
    : fresh;
}

export function take(labelling: Labelling, step: Step, stored: Stored): Labelling {
  const current = stored[labelling.at];
  if (current === undefined) return labelling;
  const past = [...labelling.past, { at: labelling.at, draft: labelling.draft }];
  const last = stored.length - 1;

  switch (step.do) {
    case 'choose': {
      const said = { ...labelling, draft: { ...labelling.draft, [current.sample_id]: step.label }, past };
      return { ...said, at: nextUnlabelled(said, stored, labelling.at) };
    }
    case 'clear':
      return { ...labelling, draft: { ...labelling.draft, [current.sample_id]: null }, past };
    case 'skip':
      return { ...labelling, at: nextUnlabelled(labelling, stored, labelling.at) };
    case 'move':
      return { ...labelling, at: Math.min(last, Math.max(0, labelling.at + step.by)) };
    case 'go':
      return { ...labelling, at: Math.min(last, Math.max(0, step.to)) };
    case 'undo': {
      const before = labelling.past.at(-1);
      return before === undefined ? labelling : { ...before, past: labelling.past.slice(0, -1) };
    }
    case 'sent':
      return { ...labelling, draft: {}, past: [] };
  }
}

/** What is to be sent: everything said that the server does not hold already. */
export function unsent(
  labelling: Labelling,
  stored: Stored,
  labels: readonly string[],
): { sample_id: string; label: string | null; opens_class: boolean }[] {
  return stored.flatMap((sample) => {
    const said = labelling.draft[sample.sample_id];
    return said === undefined || said === sample.label
      ? []
      : [{ sample_id: sample.sample_id, label: said, opens_class: said !== null && !labels.includes(said) }];
  });
}

const PLACES = '123456789abcdefghijklmnopqrstuvwxyz';

/**
 * The key of each label: itself where every label of the model is one letter or digit, else its place. A class that
 * people opened gets the first key nobody has, so that no key changes its meaning by it.
 */
export function keysOf(labels: readonly string[], opened: readonly string[] = []): Map<string, string> {
  const news = new Set(opened);
  const models = labels.filter((label) => !news.has(label));
  const own = models.map((label) => label.toLowerCase());
  const isOwn = own.every((label) => /^[a-z0-9]$/.test(label)) && new Set(own).size === own.length;
  const keys = new Map(
    models.flatMap((label, index) => {
      const key = isOwn ? own[index] : PLACES[index];
      return key === undefined ? [] : [[key, label] as const];
    }),
  );
  for (const label of opened) {
    const key = [...PLACES].find((each) => !keys.has(each));
    if (key !== undefined) keys.set(key, label);
  }
  return keys;
}

/** The classes that are named in the draft and that nobody knows yet, in the order of their samples. */
export function namedAnew(labelling: Labelling, stored: Stored, labels: readonly string[]): string[] {
  const known = new Set(labels);
  const names = stored.map((sample) => labelling.draft[sample.sample_id]);
  return [...new Set(names.filter((name): name is string => name !== undefined && name !== null && !known.has(name)))];
}

/** What stands against opening a class of this name; null where nothing does. */
export function whyNotNew(name: string, labels: readonly string[]): string | null {
  const wanted = name.trim();
  if (wanted === '') return 'A class needs a name.';
  if ([...wanted].length > 64) return 'A name has at most 64 characters.';
  if (['unknown', 'none'].includes(wanted.toLowerCase())) return `"${wanted}" is what devices say themselves; give it a name of its own.`;
  const same = labels.find((label) => label.toLowerCase() === wanted.toLowerCase());
  return same === undefined ? null : `There is a class "${same}" already; choose it instead.`;
}
