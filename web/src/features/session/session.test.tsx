import { screen } from '@testing-library/react';
import { http } from 'msw';
import { describe, expect, it } from 'vitest';
import { fault } from '@/testing/handlers';
import { open } from '@/testing/render';
import { server } from '@/testing/server';
import { makeWorld } from '@/testing/world';
import { secretOf } from './SignInPage';

const now = Date.parse('2026-11-21T10:00:00.000Z');

describe('signing in', () => {
  it('asks who it is, refuses a wrong password with the reason, and goes where the person wanted', async () => {
    const world = makeWorld(now);
    world.session = null;
    const { user } = open('/models', world);
    await user.type(await screen.findByLabelText('Name'), 'ada');
    await user.type(screen.getByLabelText('Password'), 'wrong{Enter}');
    expect(await screen.findByText('Name or password is wrong.')).toBeVisible();
    await user.clear(screen.getByLabelText('Password'));
    await user.type(screen.getByLabelText('Password'), 'correct horse{Enter}');
    expect(await screen.findByRole('heading', { name: 'Models' })).toBeVisible();
  });

  it('comes back to the sign-in page when the session is over', async () => {
    const world = makeWorld(now);
    const { user } = open('/', world);
    await screen.findByRole('heading', { name: 'Overview' });
    server.use(http.get('*/api/v1/models', () => fault(401, 'unauthenticated', 'Sign in first.')));
    await user.click(screen.getAllByRole('link', { name: 'Models' })[0] ?? document.body);
    expect(await screen.findByRole('heading', { name: 'Sign in' })).toBeVisible();
  });

  it('makes the first administrator from the link', async () => {
    const world = makeWorld(now);
    world.session = null;
    const { user } = open('/first-admin?link=one-time', world);
    expect(await screen.findByLabelText('Link')).toHaveValue('one-time');
    await user.type(screen.getByLabelText('Name'), 'ada');
    await user.type(screen.getByLabelText('Password'), 'a long password{Enter}');
    expect(await screen.findByRole('heading', { name: 'Overview' })).toBeVisible();
  });

  it('takes the secret out of a pasted link', () => {
    expect(secretOf(' https://host:8443/first-admin?link=abc%2D1 ')).toBe('abc-1');
    expect(secretOf('abc-1\n')).toBe('abc-1');
  });
});
