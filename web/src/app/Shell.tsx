import { ActionIcon, Tooltip, useMantineColorScheme } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, Outlet, useNavigate } from '@tanstack/react-router';
import { useEffect } from 'react';
import { Icon, type IconName } from '@/components/ui/Icon';
import { ask, client } from '@/lib/api/client';
import { keys } from '@/lib/api/keys';
import type { Session } from '@/lib/api/types';
import { listen, useLiveState } from '@/lib/live';
import { overviewQuery } from '@/lib/overview_query';
import { SessionContext } from '@/lib/session';
import classes from './shell.module.css';

const places: { to: '/' | '/devices' | '/drift' | '/models'; label: string; icon: IconName }[] = [
  { to: '/', label: 'Overview', icon: 'overview' },
  { to: '/devices', label: 'Devices', icon: 'devices' },
  { to: '/drift', label: 'Drift Hub', icon: 'drift' },
  { to: '/models', label: 'Models', icon: 'models' },
];

function Places({ open }: { open: number | undefined }) {
  return places.map(({ to, label, icon }) => (
    <Link key={to} to={to} className={classes.link} activeOptions={{ exact: to === '/' }}>
      <Icon name={icon} />
      {label}
      {to === '/drift' && open !== undefined && open > 0 && (
        <span className={classes.badge}>
          {open}
          <span style={{ position: 'absolute', left: -9999 }}> open events</span>
        </span>
      )}
    </Link>
  ));
}

function Live() {
  const state = useLiveState();
  const text = { connecting: 'Connecting', live: 'Live', lost: 'Connection lost' }[state];
  return (
    <div className={classes.live} data-state={state} role="status">
      <span className={classes.liveDot} />
      {text}
    </div>
  );
}

function SchemeButton() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const next = { auto: 'light', light: 'dark', dark: 'auto' } as const;
  const icon = { auto: 'auto', light: 'sun', dark: 'moon' } as const;
  const text = `Colours: ${colorScheme === 'auto' ? 'as the system' : colorScheme}`;
  return (
    <Tooltip label={text}>
      <ActionIcon variant="subtle" color="gray" aria-label={text} onClick={() => setColorScheme(next[colorScheme])}>
        <Icon name={icon[colorScheme]} />
      </ActionIcon>
    </Tooltip>
  );
}

function SignOutButton() {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const signOut = async () => {
    await ask(client.DELETE('/api/v1/session')).catch(() => undefined);
    await navigate({ to: '/sign-in' });
    queries.clear();
    queries.setQueryData(keys.session, null);
  };
  return (
    <Tooltip label="Sign out">
      <ActionIcon variant="subtle" color="gray" aria-label="Sign out" onClick={() => void signOut()}>
        <Icon name="out" />
      </ActionIcon>
    </Tooltip>
  );
}

/** Around every page of a person who is signed in. */
export function Shell({ session }: { session: Session }) {
  const queries = useQueryClient();
  useEffect(() => listen(queries), [queries]);
  const open = useQuery(overviewQuery).data?.events.open;

  return (
    <SessionContext.Provider value={session}>
      <div className={classes.shell}>
        <aside className={classes.side}>
          <Link to="/" className={classes.brand}>
            <img src="/icon.svg" alt="" width={28} height={28} />
            TinySphere
          </Link>
          <nav className={classes.nav} aria-label="Main">
            <Places open={open} />
          </nav>
          <div className={classes.foot}>
            <Live />
            <div className={classes.who}>
              <div className={classes.whoName}>
                {session.name}
                <span className={classes.whoRole}>{session.role}</span>
              </div>
              <SchemeButton />
              <SignOutButton />
            </div>
          </div>
        </aside>
        <header className={classes.top}>
          <Link to="/" className={classes.brand}>
            <img src="/icon.svg" alt="" width={26} height={26} />
            TinySphere
          </Link>
          <Live />
          <SchemeButton />
          <SignOutButton />
        </header>
        <Outlet />
        <nav className={classes.tabs} aria-label="Main">
          <Places open={open} />
        </nav>
      </div>
    </SessionContext.Provider>
  );
}
