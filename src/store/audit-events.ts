import { randomBytes } from 'node:crypto';

import type { Knex } from 'knex';

import type { AuditEvent } from '../domain/audit-event.ts';
import type { CallOrigin } from '../domain/call-origin.ts';
import { uuidV7 } from '../domain/uuid-v7.ts';

/** What happened, and where the call that did it came from. */
export interface AuditRecord {
  readonly event: AuditEvent;
  readonly origin: CallOrigin;
}

/** A year, and time to look back on it. The database refuses to purge events of less than 30 days. */
const AUDIT_RETENTION_DAYS = 400;

const COLUMNS =
  'id, action, outcome, reason, actor_type, actor_id, target_type, target_id, client_address, user_agent, request_id, details';
const TYPED_PLACES = '?::uuid, ?, ?, ?, ?, ?, ?, ?, ?::inet, ?, ?, ?::jsonb';

/** Writes to the audit trail; inside the transaction of the change, so that neither is there without the other (D02). */
export async function insertAuditEvent(db: Knex, record: AuditRecord): Promise<void> {
  await db.raw(`INSERT INTO audit_events (${COLUMNS}) VALUES (${TYPED_PLACES})`, valuesOf(record));
}

/**
 * The same as a part of a larger statement: one event for each row of `source`, which is a name in that statement's WITH.
 * Saves the round trips of a transaction where every millisecond counts.
 */
export function auditInsertFrom(
  source: string,
  record: AuditRecord,
): { sql: string; bindings: (string | null)[] } {
  return {
    sql: `INSERT INTO audit_events (${COLUMNS}) SELECT ${TYPED_PLACES} FROM ${source}`,
    bindings: valuesOf(record),
  };
}

/**
 * Forgets a batch of the events that have been kept long enough, by a function of the database: the service's own role
 * may not delete them (D17).
 *
 * @param limit at most 10000
 * @returns how many
 */
export async function purgeAuditEvents(db: Knex, limit: number): Promise<number> {
  const { rows } = await db.raw<{ rows: { purged: number }[] }>(
    'SELECT postern_purge_audit_events(?, ?) AS purged',
    [AUDIT_RETENTION_DAYS, limit],
  );
  return rows[0]?.purged ?? 0;
}

function valuesOf({ event, origin }: AuditRecord): (string | null)[] {
  return [
    uuidV7(Date.now(), randomBytes(16)),
    event.action,
    event.outcome,
    event.reason ?? null,
    event.actor.type,
    event.actor.id,
    event.target?.type ?? null,
    event.target?.id ?? null,
    origin.address,
    origin.userAgent,
    origin.requestId === '' ? null : origin.requestId,
    event.details ? JSON.stringify(event.details) : null,
  ];
}
