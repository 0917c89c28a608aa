// Which address shows which page. Everything but signing in needs a session.

import type { QueryClient } from '@tanstack/react-query';
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
  useNavigate,
} from '@tanstack/react-router';
import { FailedFace } from '@/components/ui/Face';
import { Page } from '@/components/ui/Page';
import { DevicesPage } from '@/features/devices/DevicesPage';
import { DriftHubPage } from '@/features/drift/DriftHubPage';
import { EventPage } from '@/features/drift/EventPage';
import { ModelsPage } from '@/features/models/ModelsPage';
import { OverviewPage } from '@/features/overview/OverviewPage';
import { FirstAdminPage, SignInPage } from '@/features/session/SignInPage';
import { sessionQuery } from '@/lib/session_query';
import { Shell } from './Shell';

const root = createRootRouteWithContext<{ queries: QueryClient }>()({
  component: Outlet,
  errorComponent: ({ error, reset }) => (
    <FailedFace what="this page" message={error instanceof Error ? error.message : String(error)} retry={reset} />
  ),
  notFoundComponent: () => (
    <Page title="There is no such page" back={{ to: '/', label: 'Overview' }}>
      Nothing lies at this address.
    </Page>
  ),
});

// Only paths of our own: what follows `next` must not lead a person to another site.
function ownPath(next: unknown): string {
  return typeof next === 'string' && /^\/(?![/\\])/.test(next) ? next : '/';
}

const signIn = createRoute({
  getParentRoute: () => root,
  path: '/sign-in',
  validateSearch: (search): { next?: string } => (search.next === undefined ? {} : { next: ownPath(search.next) }),
  component: function SignInRoute() {
    const { next } = signIn.useSearch();
    const navigate = useNavigate();
    return <SignInPage onSignedIn={() => void navigate({ href: next ?? '/' })} />;
  },
});

const firstAdmin = createRoute({
  getParentRoute: () => root,
  path: '/first-admin',
  validateSearch: (search): { link?: string } =>
    search.link === undefined ? {} : { link: String(search.link) },
  component: function FirstAdminRoute() {
    const { link } = firstAdmin.useSearch();
    const navigate = useNavigate();
    return <FirstAdminPage link={link ?? ''} onSignedIn={() => void navigate({ to: '/' })} />;
  },
});

const signedIn = createRoute({
  getParentRoute: () => root,
  id: 'signed-in',
  beforeLoad: async ({ context, location }) => {
    const session = await context.queries.ensureQueryData(sessionQuery);
    if (session === null) {
      throw redirect({ to: '/sign-in', search: location.href === '/' ? {} : { next: location.href } });
    }
    return { session };
  },
  component: function SignedInRoute() {
    const { session } = signedIn.useRouteContext();
    return <Shell session={session} />;
  },
});

const overview = createRoute({ getParentRoute: () => signedIn, path: '/', component: OverviewPage });
const devices = createRoute({ getParentRoute: () => signedIn, path: '/devices', component: DevicesPage });
const device = createRoute({
  getParentRoute: () => signedIn,
  path: '/devices/$deviceId',
  // Plots are the heaviest part and only this page has them.
  component: lazyRouteComponent(() => import('@/features/devices/DevicePage'), 'DevicePage'),
});
const driftHub = createRoute({ getParentRoute: () => signedIn, path: '/drift', component: DriftHubPage });
const driftEvent = createRoute({
  getParentRoute: () => signedIn,
  path: '/drift/$eventId',
  component: function EventRoute() {
    const { eventId } = driftEvent.useParams();
    return <EventPage key={eventId} eventId={eventId} />;
  },
});
const models = createRoute({ getParentRoute: () => signedIn, path: '/models', component: ModelsPage });

const tree = root.addChildren([
  signIn,
  firstAdmin,
  signedIn.addChildren([overview, devices, device, driftHub, driftEvent, models]),
]);

export function makeRouter(queries: QueryClient, history?: Parameters<typeof createRouter>[0]['history']) {
  return createRouter({
    routeTree: tree,
    context: { queries },
    scrollRestoration: true,
    defaultPendingMs: 300,
    ...(history === undefined ? {} : { history }),
  });
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
