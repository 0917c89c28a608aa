import { screen, waitFor, within } from '@testing-library/react';
import { http } from 'msw';
import { describe, expect, it } from 'vitest';
import { reach } from '@/components/adaptation/JudgementPlot';
import { orderStateInWords, points, servedInWords } from '@/lib/adaptation_words';
import { fault } from '@/testing/handlers';
import { open } from '@/testing/render';
import { server } from '@/testing/server';
import { makeWorld, type World } from '@/testing/world';

const now = Date.parse('2026-11-21T10:00:00.000Z');

function device(world: World, name: string): string {
  const found = world.devices.find((each) => each.name === name);
  if (found === undefined) throw new Error(`there is no ${name}`);
  return `/devices/${found.device_id}`;
}

describe('Adaptation of a device', () => {
  it('tells how it went from state to state, newest first, and why', async () => {
    const world = makeWorld(now);
    open(device(world, 'camera-east'), world);
    const panel = await screen.findByRole('region', { name: 'How it went from state to state' });
    const steps = (await within(panel).findAllByRole('listitem')).map((step) => step.textContent);
    expect(steps).toHaveLength(3);
    expect(steps[0]).toContain('AdaptingOn probation');
    expect(steps[0]).toContain('sample 2,140');
    expect(steps[0]).toContain('flat_field serves; the one before goes on beside it');
    expect(steps[2]).toContain('StableSuspect');
  });

  it('shows the server’s judgement with its interval', async () => {
    const world = makeWorld(now);
    open(device(world, 'camera-east'), world);
    const judged = await screen.findByRole('group', { name: "The server's judgement" });
    expect(within(judged).getByText('It helped')).toBeVisible();
    expect(within(judged).getByText('right on 22 of 24 labelled samples, 14 without it')).toBeVisible();
    expect(within(judged).getByRole('img', { name: '+33 points of right answers, 95 % interval +12 points to +51 points' })).toBeInTheDocument();
  });

  it('says why nothing is judged where the server has no tinylcm', async () => {
    const world = makeWorld(now);
    world.overview.judging = { is_possible: false, reason: 'No tinylcm was found; start the server with --tinylcm PATH.' };
    open(device(world, 'sensor-array'), world);
    expect((await screen.findAllByText('No tinylcm was found; start the server with --tinylcm PATH.'))[0]).toBeVisible();
  });

  it('lets an operator approve what is proposed, once it is clear what would change', async () => {
    const world = makeWorld(now);
    world.session = { name: 'olga', role: 'operator' };
    const { user } = open(device(world, 'sensor-array'), world);
    const panel = await screen.findByRole('region', { name: 'Adaptation' });
    expect(await within(panel).findByText('Waits for approval')).toBeVisible();
    await user.click(await within(panel).findByRole('button', { name: 'Approve' }));
    const dialog = await screen.findByRole('dialog', { name: 'Let the device serve this adaptation?' });
    expect(dialog).toHaveTextContent('Would servemoved channels + labelled');
    expect(dialog).toHaveTextContent('Labels right, on the device42 % → 92 %');
    expect(dialog).toHaveTextContent('Known examples right93.0 % → 92.8 %');
    expect(world.ordered).toEqual([]);
    await user.click(within(dialog).getByRole('button', { name: 'Approve' }));
    await waitFor(() => expect(world.ordered).toEqual([{ adaptation_sha256: expect.stringMatching(/^[0-9a-f]{64}$/), order: 'approve' }]));
    expect(await within(panel).findByText(/olga approved it .*: on its way\./)).toBeVisible();
    expect(within(panel).queryByRole('button', { name: 'Approve' })).not.toBeInTheDocument();
  });

  it('orders a rollback only once it is confirmed', async () => {
    const world = makeWorld(now);
    const { user } = open(device(world, 'camera-east'), world);
    const panel = await screen.findByRole('region', { name: 'Adaptation' });
    await user.click(await within(panel).findByRole('button', { name: 'Roll back' }));
    let dialog = await screen.findByRole('dialog', { name: 'Go back to the one before?' });
    expect(dialog).toHaveTextContent('The device answers as it did before this adaptation, bit for bit.');
    expect(dialog).toHaveTextContent('Before itthe bundle alone');
    await user.click(within(dialog).getByRole('button', { name: 'Cancel' }));
    await waitFor(() => expect(screen.queryByRole('dialog')).not.toBeInTheDocument());
    expect(world.ordered).toEqual([]);
    await user.click(within(panel).getByRole('button', { name: 'Roll back' }));
    dialog = await screen.findByRole('dialog', { name: 'Go back to the one before?' });
    await user.click(within(dialog).getByRole('button', { name: 'Roll back' }));
    await waitFor(() => expect(world.ordered.map((each) => each.order)).toEqual(['roll_back']));
  });

  it('says so when its turn is over', async () => {
    const world = makeWorld(now);
    const { user } = open(device(world, 'camera-east'), world);
    const panel = await screen.findByRole('region', { name: 'Adaptation' });
    server.use(http.post('*/order', () => fault(409, 'conflict', 'Another adaptation serves by now.')));
    await user.click(await within(panel).findByRole('button', { name: 'Roll back' }));
    const dialog = await screen.findByRole('dialog', { name: 'Go back to the one before?' });
    await user.click(within(dialog).getByRole('button', { name: 'Roll back' }));
    expect(await within(panel).findByText('Another adaptation serves by now.')).toBeVisible();
  });

  it('lets a viewer look and order nothing', async () => {
    const world = makeWorld(now);
    world.session = { name: 'vera', role: 'viewer' };
    open(device(world, 'sensor-array'), world);
    expect(await screen.findByText('An operator can approve or reject it.')).toBeVisible();
    expect(screen.queryByRole('button', { name: 'Approve' })).not.toBeInTheDocument();
  });

  it('says that a device answers by its bundle where nothing was adapted', async () => {
    const world = makeWorld(now);
    open(device(world, 'west-camera'), world);
    expect(await screen.findByText('Nothing was adapted yet')).toBeVisible();
    expect(screen.getByText('It has not left its first state')).toBeVisible();
  });

  it('waits on the overview for whoever may approve, be there anything to label or not', async () => {
    const world = makeWorld(now);
    for (const event of world.events) event.state = 'answered';
    open('/', world);
    expect(await screen.findByRole('link', { name: 'See what sensor-array proposes' })).toHaveAttribute('href', expect.stringMatching(/^\/devices\/d-/));
    await screen.findByRole('region', { name: 'What happened' });
    expect(screen.queryByText('Nothing waits for you')).not.toBeInTheDocument();
  });
});

describe('Words of adaptation', () => {
  it('names what serves', () => {
    expect(servedInWords('flat_field + rotate(10)', 'moved_channels+labelled')).toBe('flat field + rotate(10) + moved channels + labelled');
    expect(servedInWords('identity', 'none')).toBe('the bundle as it came');
    expect(servedInWords(null, null)).toBe('the bundle as it came');
  });

  it('says a difference in points, with its sign', () => {
    expect(points(0.333)).toBe('+33 points');
    expect(points(-0.01)).toBe('−1 point');
    expect(points(0.001)).toBe('±0 points');
  });

  it('shows at least ten points either way, and never cuts an interval', () => {
    expect(reach({ difference: 0.01, interval: [-0.02, 0.04] })).toBe(0.1);
    expect(reach({ difference: 0.3, interval: [0.12, 0.51] })).toBe(0.6);
    expect(reach({ difference: -1, interval: [-1, -0.9] })).toBe(1);
  });

  it('tells an order’s way, and what the device made of it', () => {
    const order = { order: 'roll_back' as const, by: 'ada', at: '', feedback_id: 'f', state: 'delivered' as const, outcome: null };
    expect(orderStateInWords(order)).toBe('the device has it');
    expect(orderStateInWords({ ...order, outcome: 'unknown_adaptation' })).toBe('the device does not know this adaptation any more');
  });
});
