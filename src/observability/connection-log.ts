import type { AuditRateLimiter, AuditRateLimits } from '../features/audit/audit-rate-limiter.ts';
import { normaliseIp, sourceOf } from '../net/cidr.ts';
import {
  type HandshakeFailure,
  handshakeFailures,
  type RefusedConnection,
} from '../net/refused-connection.ts';

export type ListenerName = 'grpc' | 'http' | 'admin' | 'console';

/** The part of pino's logger that this file uses. */
interface Log {
  info(fields: object, event: string): void;
  warn(fields: object, event: string): void;
}

/** One line a minute for each source and reason, and over all of them a burst of 300 and then one a second. */
export const connectionLineLimits: AuditRateLimits = {
  perSource: 1,
  sourceRefillMs: 60_000,
  overall: 300,
  overallRefillMs: 1_000,
  maxSources: 10_000,
};

/**
 * Logs and counts connections that were closed before their first request: neither the call log nor the metrics of calls
 * know of them, and the caller sees only a lost connection.
 */
export class ConnectionLog {
  readonly #log: Log;
  readonly #lines: Pick<AuditRateLimiter, 'take'>;
  readonly #listeners: readonly ListenerName[];
  readonly #failed: Readonly<Record<ListenerName, Map<HandshakeFailure, number>>> = {
    grpc: new Map(),
    http: new Map(),
    admin: new Map(),
    console: new Map(),
  };

  /** @param listeners those that this process has */
  constructor(
    log: Log,
    lines: Pick<AuditRateLimiter, 'take'>,
    listeners: readonly ListenerName[] = ['grpc', 'http'],
  ) {
    this.#log = log;
    this.#listeners = listeners;
    this.#lines = lines;
  }

  refused(listener: ListenerName, { reason, detail, address }: RefusedConnection): void {
    if (reason !== 'limit') {
      const counts = this.#failed[listener];
      counts.set(reason, (counts.get(reason) ?? 0) + 1);
    }
    const peer = address === null ? null : normaliseIp(address);
    const line = this.#lines.take(`${listener} ${reason} ${sourceOf(peer)}`);
    if (line === null) return;
    const fields = {
      listener,
      reason,
      peer: peer ?? 'unix socket',
      detail,
      ...(line.unwritten > 0 && { unlogged: line.unwritten }),
    };
    if (reason === 'limit') this.#log.warn(fields, 'connection-refused');
    else this.#log.info(fields, 'connection-refused');
  }

  /** The number of failed handshakes by listener and reason. All reasons are present from the start, so that a rate sees the first. */
  failedHandshakes(): [labels: [ListenerName, HandshakeFailure], count: number][] {
    return this.#listeners.flatMap((listener) =>
      handshakeFailures.map((reason): [[ListenerName, HandshakeFailure], number] => [
        [listener, reason],
        this.#failed[listener].get(reason) ?? 0,
      ]),
    );
  }
}
