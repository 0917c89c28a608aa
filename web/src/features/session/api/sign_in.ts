import { useMutation, useQueryClient } from '@tanstack/react-query';
import { ask, client } from '@/lib/api/client';
import { keys } from '@/lib/api/keys';

export function useSignIn() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (body: { name: string; password: string }) => ask(client.POST('/api/v1/session', { body })),
    onSuccess: (session) => queries.setQueryData(keys.session, session),
  });
}
