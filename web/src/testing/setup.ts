import '@testing-library/jest-dom/vitest';
import { cleanup, configure } from '@testing-library/react';
import { afterAll, afterEach, beforeAll, vi } from 'vitest';
import { server } from './server';

// What the dashboard asks of a browser and happy-dom does not have.
class SilentEventSource {
  static readonly CLOSED = 2;
  readyState = 0;
  addEventListener() {}
  close() {}
}
vi.stubGlobal('EventSource', SilentEventSource);
// A plot draws on a canvas; what it is given is tested, what it draws is looked at.
vi.mock('uplot', () => ({ default: class { setData() {} setSize() {} destroy() {} } }));
// Waits end as soon as the thing is there; a slow machine is no failure.
configure({ asyncUtilTimeout: 10_000 });
window.scrollTo = () => {};

beforeAll(() => server.listen({ onUnhandledRequest: 'error' }));
afterEach(() => {
  cleanup();
  server.resetHandlers();
  sessionStorage.clear();
  localStorage.clear();
});
afterAll(() => server.close());
