import { screen, waitFor, within } from '@testing-library/react';
import { describe, expect, it } from 'vitest';
import { open } from '@/testing/render';
import { makeWorld } from '@/testing/world';

const now = Date.parse('2026-11-21T10:00:00.000Z');

describe('Models', () => {
  it('rolls a version out only once it is confirmed', async () => {
    const world = makeWorld(now);
    world.rollouts = [];
    const { user } = open('/models', world);
    await user.click(await screen.findByRole('button', { name: 'Roll out digits 1.1.0' }));
    const dialog = await screen.findByRole('dialog', { name: 'Roll out digits 1.1.0' });
    expect(world.rollouts).toEqual([]);
    await user.click(await within(dialog).findByRole('button', { name: 'Roll out to 2 devices' }));
    await waitFor(() => expect(world.rollouts[0]).toMatchObject({ name: 'digits', version: '1.1.0', target: { kind: 'model_family' } }));
    expect(await screen.findByRole('listitem', { name: 'Roll-out of digits 1.1.0' })).toBeVisible();
  });

  it('pauses a roll-out and goes on with it', async () => {
    const world = makeWorld(now);
    const { user } = open('/models', world);
    await user.click(await screen.findByRole('button', { name: 'Pause' }));
    expect(await screen.findByText('Paused')).toBeVisible();
    await user.click(screen.getByRole('button', { name: 'Resume' }));
    expect(await screen.findByText('Under way')).toBeVisible();
  });

  it('says why a bundle was refused, with the command to run', async () => {
    const { user } = open('/models', makeWorld(now));
    await screen.findByRole('button', { name: 'Add a signed bundle' });
    const input = document.querySelector<HTMLInputElement>('input[type="file"]');
    if (input === null) throw new Error('there is no way to choose a file');
    await user.upload(input, new File(['not signed'], 'digits-1.2.0.tar.zst', { type: 'application/zstd' }));
    expect(await screen.findByText(/tinylcm bundle sign --key publisher.key/)).toBeVisible();
  });
});
