import { screen, within } from '@testing-library/react';
import { describe, expect, it } from 'vitest';
import { open } from '@/testing/render';
import { makeWorld } from '@/testing/world';

const now = Date.parse('2026-11-21T10:00:00.000Z');

describe('Devices', () => {
  const names = () =>
    within(screen.getByRole('table'))
      .getAllByRole('row')
      .slice(1)
      .map((row) => within(row).getByRole('link').textContent);

  it('sorts by what a column says, and finds by name', async () => {
    const { user } = open('/devices', makeWorld(now));
    await screen.findByRole('table');
    expect(names()).toEqual(['camera-east', 'sensor-array', 'west-camera']);
    await user.click(screen.getByRole('button', { name: /^Drift/ }));
    // Most urgent first: adapting, probation, stable.
    expect(names()).toEqual(['sensor-array', 'camera-east', 'west-camera']);
    await user.type(screen.getByLabelText('Filter devices'), 'west');
    expect(names()).toEqual(['west-camera']);
  });

  it('lets an administrator accept a device by its fingerprint', async () => {
    const world = makeWorld(now);
    const { user } = open('/devices', world);
    await user.click(await screen.findByRole('button', { name: 'Accept pi-garden-3' }));
    expect(await screen.findByRole('link', { name: 'pi-garden-3' })).toBeVisible();
  });

  it('tells one device: what it runs, what it should, and what happened', async () => {
    const world = makeWorld(now);
    const east = world.devices.find((device) => device.name === 'camera-east');
    open(`/devices/${east?.device_id}`, world);
    expect(await screen.findByRole('heading', { name: 'camera-east' })).toBeVisible();
    expect(screen.getByText('digits 1.0.0')).toBeVisible();
    const timeline = await screen.findByRole('region', { name: 'Timeline' });
    expect(within(timeline).getByText(/flat field accepted/)).toBeVisible();
    expect(within(timeline).getByRole('link', { name: /rose 2.4 sigma/ })).toHaveAttribute('href', '/drift/e-camera-east');
  });

  it('asks a device for a mode, and says that it has not heard yet', async () => {
    const world = makeWorld(now);
    const east = world.devices.find((device) => device.name === 'camera-east');
    const { user } = open(`/devices/${east?.device_id}`, world);
    const select = await screen.findByLabelText('Asked mode');
    const panel = screen.getByRole('region', { name: 'Mode' });
    expect(within(panel).getByRole('status')).toHaveTextContent('Asked: as configured. The device says: server assisted.');
    await user.selectOptions(select, 'Monitoring only');
    expect(await within(panel).findByText(/Asked: monitoring only\./)).toHaveTextContent(
      'The device says: server assisted. It takes the mode when it next asks.',
    );
    expect(within(panel).getByText('Drift is told. Nothing is ever changed.')).toBeVisible();
    expect(east?.desired_mode).toBe('monitoring_only');
    await user.selectOptions(select, 'As the device is configured');
    expect(await within(panel).findByText(/Asked: as configured\./)).toBeVisible();
    expect(east?.desired_mode).toBeNull();
  });

  it('shows a viewer the mode and lets nobody but an operator ask for one', async () => {
    const world = makeWorld(now);
    world.session = { name: 'vera', role: 'viewer' };
    const east = world.devices.find((device) => device.name === 'camera-east');
    open(`/devices/${east?.device_id}`, world);
    expect(await screen.findByText(/The device says: server assisted\./)).toBeVisible();
    expect(screen.queryByLabelText('Asked mode')).toBeNull();
  });

  it('says that there is no such device', async () => {
    open('/devices/d-nothing', makeWorld(now));
    expect((await screen.findAllByText('There is nothing of this name.'))[0]).toBeVisible();
  });
});
