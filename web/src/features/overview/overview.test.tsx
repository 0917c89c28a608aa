import { screen, waitFor, within } from '@testing-library/react';
import { http } from 'msw';
import { describe, expect, it } from 'vitest';
import { fault } from '@/testing/handlers';
import { open } from '@/testing/render';
import { server } from '@/testing/server';
import { makeWorld } from '@/testing/world';
import { minutesOf } from './Throughput';

const now = Date.parse('2026-11-21T10:00:00.000Z');

describe('Overview', () => {
  it('shows the fleet at a glance, zero being a figure', async () => {
    open('/', makeWorld(now));
    expect(within(await screen.findByRole('group', { name: 'Devices online' })).getByText('of 3')).toBeVisible();
    expect(within(screen.getByRole('group', { name: 'Refused or failed' })).getByText('0')).toBeVisible();
    expect(screen.getByText(/^As of \d\d:\d\d:\d\d$/)).toBeVisible();
  });

  it('leads straight to the samples that wait', async () => {
    const { user } = open('/', makeWorld(now));
    await user.click(await screen.findByRole('link', { name: 'Label the samples of camera-east' }));
    expect(await screen.findByRole('heading', { name: 'Abrupt drift on camera-east' })).toBeVisible();
  });

  it('tells an empty fleet how to begin', async () => {
    const world = makeWorld(now);
    world.devices = [];
    open('/', world);
    expect(await screen.findByText('No device yet')).toBeVisible();
  });

  it('shows the rest when one part cannot be had', async () => {
    const world = makeWorld(now);
    open('/', world);
    server.use(http.get('*/api/v1/devices', () => fault(500, 'internal', 'Something broke.')));
    expect(await screen.findByText('Could not load the devices')).toBeVisible();
    expect(await screen.findByRole('link', { name: 'Label the samples of camera-east' })).toBeVisible();
  });

  it('keeps old figures with their time when new ones cannot be had', async () => {
    const { queries } = open('/', makeWorld(now));
    await screen.findByRole('group', { name: 'Devices online' });
    server.use(http.get('*/api/v1/overview', () => fault(500, 'internal', 'Something broke.')));
    await queries.invalidateQueries({ queryKey: ['overview'] });
    await waitFor(() => expect(screen.getByText(/^Not refreshed; as of/)).toBeVisible());
    expect(screen.getByRole('group', { name: 'Devices online' })).toBeVisible();
  });

  it('counts a minute without a report as zero', () => {
    const minutes = minutesOf([{ at: '2026-11-21T09:58:20Z', packages: 4, inferences: 100 }], '2026-11-21T10:00:05Z', (point) => point.packages);
    // The hour ends with the minute of 10:00; 09:58 is the third from the end.
    expect(minutes).toHaveLength(60);
    expect(minutes.map((minute) => minute.value).slice(-4)).toEqual([0, 4, 0, 0]);
  });
});
