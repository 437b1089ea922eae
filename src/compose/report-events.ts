import type { DatabaseClock } from '../domain/database-clock.ts';
import type { KeyEvent } from '../features/signing-keys/signing-key-source.ts';
import type { Logger } from '../observability/log.ts';

export function reportClock(log: Logger, clock: DatabaseClock): void {
  const event = clock.takeTransition();
  if (event === null) return;
  const fields = { ahead_seconds: Math.round((clock.aheadMs ?? 0) / 100) / 10 };
  if (event === 'differs') log.warn(fields, 'clock-differs');
  else log.info(fields, 'clock-agrees');
}

export function logKeyEvent(log: Logger, event: KeyEvent): void {
  if (event.kind === 'refused') log.error({ cause: event.cause }, 'signing-key-refused');
  else if (event.kind === 'left-behind') log.error({ cause: event.cause }, 'signing-key-not-made');
  else log.info({ step: event.kind, ...('kid' in event && { kid: event.kid }) }, 'signing-keys');
}
