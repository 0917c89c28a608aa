import { useQuery } from '@tanstack/react-query';
import { overviewQuery } from './overview_query';

/** Why the server judges no adaptation at all; null while it does, or while that is not known. */
export function useWhyNotJudged(): string | null {
  const overview = useQuery(overviewQuery).data;
  return overview === undefined || overview.judging.is_possible ? null : overview.judging.reason;
}
