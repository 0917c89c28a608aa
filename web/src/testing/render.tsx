import { createMemoryHistory } from '@tanstack/react-router';
import { render } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { App } from '../app/App';
import { makeQueries } from '../app/queries';
import { makeRouter } from '../app/router';
import { handlersOf } from './handlers';
import { server } from './server';
import type { World } from './world';

/** Opens the dashboard at an address, against a World. */
export function open(path: string, world: World) {
  server.use(...handlersOf(world));
  const history = createMemoryHistory({ initialEntries: [path] });
  const queries = makeQueries(() => void router.navigate({ to: '/sign-in' }));
  queries.setDefaultOptions({ queries: { ...queries.getDefaultOptions().queries, retry: false, refetchInterval: false } });
  const router = makeRouter(queries, history);
  const user = userEvent.setup();
  render(<App queries={queries} router={router} />);
  return { user, router, queries };
}
