import { describe, expect, it } from 'vitest';
import { begin, keysOf, labelOf, namedAnew, nextUnlabelled, type Step, take, unsent, whyNotNew } from './labelling';

const stored = ['a', 'b', 'c'].map((sample_id) => ({ sample_id, label: null as string | null }));

function after(...steps: Step[]) {
  return steps.reduce((state, step) => take(state, step, stored), begin(stored));
}
const choose = (label: string): Step => ({ do: 'choose', label });

describe('labelling', () => {
  it('goes on to the next sample without a label once one is chosen', () => {
    expect(after(choose('3')).at).toBe(1);
    expect(after(choose('3'), choose('8')).at).toBe(2);
  });

  it('comes round to what was skipped', () => {
    // a skipped, b and c labelled: only a is left.
    expect(after({ do: 'skip' }, choose('1'), choose('2')).at).toBe(0);
  });

  it('stays on the last sample when all have a label', () => {
    expect(after(choose('1'), choose('2'), choose('3')).at).toBe(2);
  });

  it('undoes one choice after another, and shows the sample it was about', () => {
    const once = after(choose('1'), choose('2'), { do: 'undo' });
    expect(once.at).toBe(1);
    expect(once.draft).toEqual({ a: '1' });
    expect(take(once, { do: 'undo' }, stored)).toEqual(begin(stored));
  });

  it('undoes nothing when nothing was said', () => {
    expect(after({ do: 'undo' })).toEqual(begin(stored));
  });

  it('stops at both ends when moved', () => {
    expect(after({ do: 'move', by: -1 }).at).toBe(0);
    expect(after({ do: 'move', by: 7 }).at).toBe(2);
  });

  it('sends what is new, leaves what the server holds, and takes back what was cleared', () => {
    const held = [
      { sample_id: 'a', label: '1' },
      { sample_id: 'b', label: '2' },
      { sample_id: 'c', label: null },
    ];
    let state = begin(held);
    expect(state.at).toBe(2); // The first without a label.
    state = take(state, choose('9'), held);
    state = take(take(state, { do: 'go', to: 0 }, held), choose('1'), held); // The same again.
    state = take(take(state, { do: 'go', to: 1 }, held), { do: 'clear' }, held);
    expect(unsent(state, held, ['1', '2', '9'])).toEqual([
      { sample_id: 'b', label: null, opens_class: false },
      { sample_id: 'c', label: '9', opens_class: false },
    ]);
  });

  it('takes a cleared label for no label', () => {
    const held = [{ sample_id: 'a', label: '1' }];
    const state = take(begin(held), { do: 'clear' }, held);
    expect(labelOf(state, { sample_id: 'a', label: '1' })).toBeNull();
    expect(nextUnlabelled(state, held, 0)).toBe(0);
  });

  it('gives each label its own sign as key where every label is one', () => {
    expect([...keysOf(['0', '1', 'A'])]).toEqual([['0', '0'], ['1', '1'], ['a', 'A']]);
  });

  it('leaves every key its meaning when a class is opened', () => {
    const keys = keysOf(['0', '1', '2', 'crossed seven'], ['crossed seven']);
    expect(keys.get('0')).toBe('0');
    expect(keys.get('2')).toBe('2');
    expect(keys.get('3')).toBe('crossed seven'); // The first that nobody has.
  });

  it('sends a class that nobody had as one that is opened on purpose', () => {
    const state = after(choose('crossed seven'), choose('1'), choose('crossed seven'));
    expect(namedAnew(state, stored, ['0', '1'])).toEqual(['crossed seven']);
    expect(unsent(state, stored, ['0', '1'])).toEqual([
      { sample_id: 'a', label: 'crossed seven', opens_class: true },
      { sample_id: 'b', label: '1', opens_class: false },
      { sample_id: 'c', label: 'crossed seven', opens_class: true },
    ]);
    // Once the server holds it, it is a class like others.
    expect(unsent(state, stored, ['0', '1', 'crossed seven']).every((each) => !each.opens_class)).toBe(true);
  });

  it('opens no class of no name, of a name that is there, or of what devices say themselves', () => {
    expect(whyNotNew('  ', ['seven'])).toBe('A class needs a name.');
    expect(whyNotNew(' Seven ', ['seven'])).toBe('There is a class "seven" already; choose it instead.');
    expect(whyNotNew('Unknown', ['seven'])).toContain('what devices say themselves');
    expect(whyNotNew('x'.repeat(65), [])).toContain('at most 64');
    expect(whyNotNew('crossed seven', ['seven'])).toBeNull();
  });

  it('numbers the labels when they are words, and goes on with letters after nine', () => {
    const labels = ['ant', 'bee', 'cat', 'dog', 'eel', 'fox', 'gnu', 'hen', 'ibis', 'jay'];
    expect(keysOf(labels).get('2')).toBe('bee');
    expect(keysOf(labels).get('a')).toBe('jay');
  });
});
