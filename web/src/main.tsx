import '@mantine/core/styles.css';
import '@mantine/notifications/styles.css';
import './app/tokens.css';

import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app/App';
import { makeQueries } from './app/queries';
import { makeRouter } from './app/router';

const queries = makeQueries(() => {
  void router.navigate({ to: '/sign-in', search: { next: router.state.location.href } });
});
const router = makeRouter(queries);

const root = document.getElementById('root');
if (root === null) throw new Error('index.html has no #root');
createRoot(root).render(
  <StrictMode>
    <App queries={queries} router={router} />
  </StrictMode>,
);
