import { describe, expect, it } from 'vitest';
import { begin, keysOf, labelOf, nextUnlabelled, type Step, take, unsent } from './labelling';

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
    expect(unsent(state, held)).toEqual([
      { sample_id: 'b', label: null },
      { sample_id: 'c', label: '9' },
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

  it('numbers the labels when they are words, and goes on with letters after nine', () => {
    const labels = ['ant', 'bee', 'cat', 'dog', 'eel', 'fox', 'gnu', 'hen', 'ibis', 'jay'];
    expect(keysOf(labels).get('2')).toBe('bee');
    expect(keysOf(labels).get('a')).toBe('jay');
  });
});
