import type { Device } from '@/lib/api/types';
import { words } from '@/lib/format';

/** "flat field + memory"; "none" when the device runs its bundle as it came. */
export function adaptationText(device: Device): string {
  if (device.adaptation === null) return 'none';
  const parts = [device.adaptation.hypothesis, device.adaptation.challenger].filter(
    (part): part is string => part !== null && part !== 'identity' && part !== 'none',
  );
  return parts.length === 0 ? 'none' : parts.map(words).join(' + ');
}
