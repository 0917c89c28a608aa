// Who is signed in, for what only some may do.

import { createContext, useContext } from 'react';
import type { Session } from '@/lib/api/types';

export const SessionContext = createContext<Session | null>(null);

export function useSession(): Session {
  const session = useContext(SessionContext);
  if (session === null) throw new Error('useSession outside of a signed-in page');
  return session;
}

export function useMay(role: 'operator' | 'admin'): boolean {
  const session = useSession();
  return session.role === 'admin' || session.role === role;
}
