import { screen, waitFor, within } from '@testing-library/react';
import { http } from 'msw';
import { describe, expect, it } from 'vitest';
import { fault } from '@/testing/handlers';
import { open } from '@/testing/render';
import { server } from '@/testing/server';
import { makeWorld } from '@/testing/world';

const now = Date.parse('2026-11-21T10:00:00.000Z');

describe('Drift Hub', () => {
  it('lists what waits for labels and leads to the event', async () => {
    const { user } = open('/drift', makeWorld(now));
    await user.click(await screen.findByRole('link', { name: 'Abrupt drift on camera-east' }));
    expect(await screen.findByRole('heading', { name: 'Abrupt drift on camera-east' })).toBeVisible();
    expect(screen.getByText(/rose 2.4 sigma 37 frames ago/)).toBeVisible();
  });

  it('tells what changed, since when, how surely and of what kind', async () => {
    open('/drift/e-camera-east', makeWorld(now));
    expect(await screen.findByText('From one sample to the next')).toBeVisible();
    expect(screen.getByText('1,797 (1,790 to 1,803)')).toBeVisible();
    expect(screen.getByText('10^6.2')).toBeVisible();
    expect(screen.getByText('one in 1,000,000 samples')).toBeVisible();
    const signals = screen.getByRole('group', { name: 'Share of each signal' });
    expect(within(signals).getByText('71 %, +2.4 σ')).toBeVisible();
    expect(within(signals).getByText('9 %')).toBeVisible(); // A category has no shift.
  });

  it('says that nothing waits when nothing does', async () => {
    const world = makeWorld(now);
    for (const event of world.events) event.state = 'answered';
    open('/drift', world);
    expect(await screen.findByText('Nothing waits for you')).toBeVisible();
  });

  it('says why it failed, and has the list at the second try', async () => {
    const world = makeWorld(now);
    const { user } = open('/drift', world);
    server.use(http.get('*/api/v1/drift-events', () => fault(503, 'unavailable', 'The database does not answer.'), { once: true }));
    expect(await screen.findByText('The database does not answer.')).toBeVisible();
    await user.click(screen.getByRole('button', { name: 'Try again' }));
    expect(await screen.findByRole('link', { name: 'Abrupt drift on camera-east' })).toBeVisible();
  });

  it('takes labels by keys alone: choose, undo, skip, send', async () => {
    const world = makeWorld(now);
    const { user } = open('/drift/e-camera-east', world);
    const progress = await screen.findByRole('progressbar', { name: 'Samples labelled' });
    const sample = (index: number) => screen.getByRole('button', { name: new RegExp(`^Sample ${index},`) });
    expect(sample(1840)).toHaveAttribute('aria-current', 'true');

    await user.keyboard('3');
    expect(sample(1840)).toHaveAccessibleName('Sample 1840, label 3');
    expect(sample(1845)).toHaveAttribute('aria-current', 'true');
    await user.keyboard('7{Backspace}');
    expect(sample(1845)).toHaveAccessibleName('Sample 1845, no label');
    await user.keyboard(' 0');
    expect(sample(1850)).toHaveAccessibleName('Sample 1850, label 0');
    await user.keyboard('{ArrowLeft}{ArrowLeft}{ArrowLeft}');
    expect(sample(1840)).toHaveAttribute('aria-current', 'true');
    expect(progress).toHaveAttribute('aria-valuenow', '2');

    await user.keyboard('{Control>}{Enter}{/Control}');
    await waitFor(() =>
      expect(world.given).toEqual([
        {
          event_id: 'e-camera-east',
          body: {
            labels: [
              { sample_id: 's-1840', label: '3', opens_class: false },
              { sample_id: 's-1850', label: '0', opens_class: false },
            ],
            event_verdict: 'real',
          },
        },
      ]),
    );
    expect(await screen.findByText('Labels on their way')).toBeVisible();
  });

  it('says why a sample is asked about, in the order in which answers change most', async () => {
    const { user } = open('/drift/e-camera-east', makeWorld(now));
    const asked = await screen.findByText('Question 1 of 24');
    expect(asked.closest('p')).toHaveTextContent(
      'Question 1 of 24 · the middle of a large group that is probably answered wrongly · stands for 6 % of the quarantine · of those about 35 % were answered right · looks like nothing known',
    );
    await user.keyboard('{ArrowRight}');
    expect(screen.getByText('Question 2 of 24')).toBeVisible();
  });

  it('shows who said what, how much it weighs, and what the device made of it', async () => {
    open('/drift/e-answered', makeWorld(now));
    const said = await screen.findByRole('group', { name: 'What was said of this sample' });
    expect(said).toHaveTextContent('operator: 8');
    expect(said).toHaveTextContent('bea: 3');
    expect(within(said).getByText('they differ: weighs 50 %')).toBeVisible();
    expect(within(said).getByText('refused: it contradicts the others')).toBeVisible();
  });

  it('opens a new class only with a name of its own and a confirmation', async () => {
    const world = makeWorld(now);
    const { user } = open('/drift/e-camera-east', world);
    await user.click(await screen.findByRole('button', { name: 'New class…' }));
    const dialog = await screen.findByRole('dialog', { name: 'Open a new class' });
    const name = within(dialog).getByLabelText('Name of the class');
    await user.type(name, '7');
    await user.click(within(dialog).getByRole('button', { name: 'Open the class' }));
    expect(within(dialog).getByText('There is a class "7" already; choose it instead.')).toBeVisible();
    await user.clear(name);
    await user.type(name, 'crossed seven');
    await user.click(within(dialog).getByRole('button', { name: 'Open the class' }));
    expect(within(dialog).getByText('Please confirm.')).toBeVisible();
    expect(screen.queryByRole('button', { name: 'Sample 1840, label crossed seven' })).not.toBeInTheDocument();
    await user.click(within(dialog).getByRole('checkbox'));
    await user.click(within(dialog).getByRole('button', { name: 'Open the class' }));

    expect(await screen.findByRole('button', { name: 'Sample 1840, label crossed seven' })).toBeVisible();
    await waitFor(() => expect(screen.queryByRole('dialog')).not.toBeInTheDocument());
    // It has a button of its own now, and a key that was free: the digits keep theirs.
    await user.keyboard('a');
    expect(screen.getByRole('button', { name: 'Sample 1845, label crossed seven' })).toBeVisible();
    await user.keyboard('7');
    expect(screen.getByRole('button', { name: 'Sample 1850, label 7' })).toBeVisible();
    await user.click(screen.getByRole('button', { name: 'Send 3 labels' }));
    await waitFor(() =>
      expect(world.given[0]?.body.labels).toEqual([
        { sample_id: 's-1840', label: 'crossed seven', opens_class: true },
        { sample_id: 's-1845', label: 'crossed seven', opens_class: true },
        { sample_id: 's-1850', label: '7', opens_class: false },
      ]),
    );
  });

  it('takes a label back that was sent once that is confirmed', async () => {
    const world = makeWorld(now);
    const { user } = open('/drift/e-answered', world);
    await user.click(await screen.findByRole('button', { name: 'Take the label back' }));
    const dialog = await screen.findByRole('dialog', { name: 'Take the label 8 back?' });
    expect(dialog).toHaveTextContent("It takes back everybody's word on this sample: operator, bea.");
    await user.click(within(dialog).getByRole('button', { name: 'Keep it' }));
    await waitFor(() => expect(dialog).not.toBeInTheDocument());
    expect(screen.getByRole('button', { name: 'Sample 3, label 8' })).toBeVisible();
    await user.click(screen.getByRole('button', { name: 'Take the label back' }));
    await user.click(await screen.findByRole('button', { name: 'Take it back' }));
    await user.click(await screen.findByRole('button', { name: 'Send 1 label' }));
    await waitFor(() => expect(world.given[0]?.body.labels).toEqual([{ sample_id: 'old', label: null, opens_class: false }]));
  });

  it('tells what the device did about the event', async () => {
    open('/drift/e-camera-east', makeWorld(now));
    const panel = await screen.findByRole('region', { name: 'What the device did about it' });
    expect(within(panel).getByText(/A flat field puts the picture right/)).toBeVisible();
    expect(within(panel).getByText('1 refused: it contradicts the others')).toBeVisible();
  });

  it('keeps the labels and says so when they could not be sent', async () => {
    const world = makeWorld(now);
    const { user } = open('/drift/e-camera-east', world);
    await screen.findByRole('progressbar', { name: 'Samples labelled' });
    server.use(http.post('*/verdicts', () => fault(503, 'unavailable', 'The disk is full.')));
    await user.keyboard('5');
    await user.click(screen.getByRole('button', { name: 'Send 1 label' }));
    expect(await screen.findByText(/Not sent: The disk is full./)).toBeVisible();
    expect(screen.getByText('1 of 24 labelled')).toBeVisible();
    expect(screen.getByRole('button', { name: 'Send 1 label' })).toBeEnabled();
  });

  it('finds the labels again that were not sent before the page was left', async () => {
    sessionStorage.setItem('tinysphere.draft.e-camera-east', JSON.stringify({ 's-1840': '6' }));
    open('/drift/e-camera-east', makeWorld(now));
    expect(await screen.findByRole('button', { name: 'Sample 1840, label 6' })).toBeVisible();
    expect(screen.getByRole('button', { name: 'Send 1 label' })).toBeEnabled();
  });

  it('draws a sensor row beside its reference, and the channels that moved', async () => {
    open('/drift/e-sensor-array', makeWorld(now));
    expect(await screen.findByRole('img', { name: 'Row 2100' })).toBeVisible();
    expect(screen.getByRole('img', { name: 'Usual (mean before)' })).toBeVisible();
    const moved = screen.getByRole('img', { name: '16 of 64 channels moved' });
    expect(within(moved).getByText(/^channel 16: [4-7]\.\d\d σ$/)).toBeInTheDocument();
  });

  it('asks the device for more samples once, and says that they are awaited', async () => {
    const world = makeWorld(now);
    const { user } = open('/drift/e-camera-east', world);
    await user.click(await screen.findByRole('button', { name: 'Ask for more samples' }));
    expect(await screen.findByText('More samples are asked for. camera-east sends what it has when it next asks.')).toBeVisible();
    expect(screen.queryByRole('button', { name: 'Ask for more samples' })).not.toBeInTheDocument();
    expect(world.events.find((event) => event.event_id === 'e-camera-east')?.more_samples).toEqual({ asked: 24, is_awaited: true, left: 976 });
  });

  it('offers no more samples than are left, and says so', async () => {
    const world = makeWorld(now);
    for (const event of world.events) event.more_samples = { asked: 990, is_awaited: false, left: 10 };
    const { user } = open('/drift/e-camera-east', world);
    await user.click(await screen.findByRole('button', { name: 'Ask for more samples' }));
    await waitFor(() => expect(world.events.find((event) => event.event_id === 'e-camera-east')?.more_samples.asked).toBe(1000));
  });

  it('says why the device was not asked for more samples', async () => {
    const { user } = open('/drift/e-camera-east', makeWorld(now));
    const button = await screen.findByRole('button', { name: 'Ask for more samples' });
    server.use(http.post('*/request-samples', () => fault(409, 'conflict', 'They were asked for already.')));
    await user.click(button);
    expect(await screen.findByText(/Not asked: They were asked for already./)).toBeVisible();
  });

  it('shows a viewer the samples but offers no labels', async () => {
    const world = makeWorld(now);
    world.session = { name: 'eve', role: 'viewer' };
    open('/drift/e-camera-east', world);
    expect(await screen.findByText('An operator can label these samples.')).toBeVisible();
    expect(screen.queryByRole('group', { name: 'Label of this sample' })).not.toBeInTheDocument();
    expect(screen.queryByRole('button', { name: 'Ask for more samples' })).not.toBeInTheDocument();
  });
});
