import { useMutation, useQueryClient } from '@tanstack/react-query';
import { ask, client } from '@/lib/api/client';
import { keys } from '@/lib/api/keys';

export function useAddBundle() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (archive: File) =>
      ask(
        client.POST('/api/v1/bundles', {
          // The file goes as it is; the generated type knows only text for binary bodies.
          body: archive as unknown as string,
          bodySerializer: (body) => body,
          headers: { 'Content-Type': 'application/zstd' },
        }),
      ),
    onSuccess: () => queries.invalidateQueries({ queryKey: keys.models }),
  });
}
