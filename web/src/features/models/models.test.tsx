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

  it('shows what a device learned, how it was judged, and what its publisher runs', async () => {
    open('/models', makeWorld(now));
    const learned = await screen.findByRole('listitem', { name: 'digits 1.0.0-learned.5d1a44b0' });
    expect(within(learned).getByText('Waiting for signature')).toBeVisible();
    expect(within(learned).getByRole('link', { name: 'west-camera' })).toBeVisible();
    expect(within(learned).getByText('rotate(20) + mean + labelled')).toBeVisible();
    expect(within(learned).getByText('crossed seven')).toBeVisible();
    expect(within(learned).getByText('It helped')).toBeVisible();
    expect(within(learned).getByLabelText('Command for 1.0.0-learned.5d1a44b0')).toHaveTextContent(
      /^tinylcm bundle make digits-1.0.0.tar.zst --adaptation adaptation.bin --version 1.0.0-learned.5d1a44b0 --taught-by d-/,
    );
    expect(within(learned).getByRole('link', { name: 'adaptation.bin' })).toHaveAttribute('href', expect.stringMatching(/^\/artifacts\/[0-9a-f]{64}$/));
    // Nothing unsigned can be rolled out.
    expect(within(learned).queryByRole('button', { name: /Roll out/ })).not.toBeInTheDocument();
  });

  it('says so where the bundle a device learned on is not known here', async () => {
    const world = makeWorld(now);
    const learned = world.learned[0];
    if (learned === undefined) throw new Error('the world has nothing learned');
    learned.command = null;
    learned.base = { bundle: 'ab'.repeat(32), name: null, version: null, archive_sha256: null };
    open('/models', world);
    expect(await screen.findByText(/\(abababababab\) is not registered here/)).toBeVisible();
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
