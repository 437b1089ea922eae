import { parseSeconds } from '../config/quantities.ts';
import {
  DEFAULT_OVERLAP_SECONDS,
  MAX_OVERLAP_SECONDS,
} from '../features/service-accounts/rotate-service-secret.ts';
import { wrongUse } from './command-failure.ts';

/** How long a replaced secret or key stays valid, seconds. @throws CommandFailure */
export function parseOverlap(overlap: string | undefined): number {
  if (overlap === undefined) return DEFAULT_OVERLAP_SECONDS;
  const seconds = parseSeconds(overlap, MAX_OVERLAP_SECONDS);
  if (seconds !== null) return seconds;
  throw wrongUse(
    '--overlap must be a duration from 1s to 30d',
    'Write a number and a unit, such as 30m, 24h or 7d. --now revokes the previous secret at once.',
  );
}
