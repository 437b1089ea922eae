import { randomBytes } from 'node:crypto';

import type { Knex } from 'knex';

import type { AuditEvent } from '../../domain/audit-event.ts';
import type { CallOrigin } from '../../domain/operation-call.ts';
import { uuidV7 } from '../../domain/uuid.ts';
import { prepared } from '../../database/prepared.ts';

/** An event and the origin of the call that caused it. */
export interface AuditRecord {
  readonly event: AuditEvent;
  readonly origin: CallOrigin;
}

/**
 * A year and a margin to review it. The database functions that delete events refuse a retention of less than 30 days.
 */
const AUDIT_RETENTION_DAYS = 400;
/**
 * A month goes as a whole, when its last event is as old as that, so its first ones are a month older. What belongs to no month,
 * or whose month could not be dropped for a day, is deleted by its own age.
 */
const MAX_AUDIT_AGE_DAYS = AUDIT_RETENTION_DAYS + 32;

const COLUMNS =
  'id, action, outcome, reason, actor_type, actor_id, target_type, target_id, client_address, user_agent, request_id, details';
type AuditColumn =
  | 'id'
  | 'action'
  | 'outcome'
  | 'reason'
  | 'actor_type'
  | 'actor_id'
  | 'target_type'
  | 'target_id'
  | 'client_address'
  | 'user_agent'
  | 'request_id'
  | 'details';
const TYPED_PLACEHOLDERS = '?::uuid, ?, ?, ?, ?, ?, ?, ?, ?::inet, ?, ?, ?::jsonb';

/** Writes one event. Call it in the transaction of the change, so that neither exists without the other (D02). */
export async function insertAuditEvent(db: Knex, record: AuditRecord): Promise<void> {
  const sql = `INSERT INTO audit_events (${COLUMNS}) VALUES (${TYPED_PLACEHOLDERS})`;
  await prepared(db, 'insert-audit-event', sql, valuesOf(record));
}

/** Writes several events in one statement. */
export async function insertAuditEvents(db: Knex, records: readonly AuditRecord[]): Promise<void> {
  const sql = `INSERT INTO audit_events (${COLUMNS}) SELECT ${COLUMNS} FROM json_to_recordset(?::json) AS event
    (id uuid, action text, outcome text, reason text, actor_type text, actor_id text, target_type text, target_id text,
     client_address inet, user_agent text, request_id text, details jsonb)`;
  await prepared(db, 'insert-audit-events', sql, [JSON.stringify(records.map(toAuditRow))]);
}

/**
 * The SQL that inserts one event for each row of `source`, for use in a larger statement. It saves the round trips of a
 * transaction on latency-critical calls.
 *
 * @param source the name of a query in the WITH clause of that statement
 */
export function auditInsertFrom(
  source: string,
  record: AuditRecord,
): { sql: string; bindings: (string | null)[] } {
  return {
    sql: `INSERT INTO audit_events (${COLUMNS}) SELECT ${TYPED_PLACEHOLDERS} FROM ${source}`,
    bindings: valuesOf(record),
  };
}

/** The values of an event as SQL expressions; the others are null. */
export type AuditExpressions = Partial<Record<AuditColumn, string>>;

/**
 * The SQL that inserts one event for each row of `source`, with values that are computed in that statement.
 *
 * @param source what stands behind FROM
 */
export function auditInsertOf(source: string, expressions: AuditExpressions): string {
  const values = COLUMNS.split(', ').map((column) => expressions[column as AuditColumn] ?? 'NULL');
  return `INSERT INTO audit_events (${COLUMNS}) SELECT ${values.join(', ')} FROM ${source}`;
}

/** The filter of a list of events. Null matches any event. */
export interface AuditFilter {
  readonly actor: string | null;
  readonly target: string | null;
  readonly action: string | null;
  readonly outcome: string | null;
  readonly since: Date | null;
  readonly until: Date | null;
}

/** An event as stored in the audit trail. */
export interface RecordedEvent {
  readonly id: string;
  readonly at: Date;
  readonly action: string;
  readonly outcome: string;
  readonly reason: string | null;
  readonly actorType: string;
  readonly actorId: string | null;
  readonly targetType: string | null;
  readonly targetId: string | null;
  readonly clientAddress: string | null;
  readonly userAgent: string | null;
  readonly requestId: string | null;
  readonly details: unknown;
}

interface AuditRow {
  id: string;
  at: Date;
  action: string;
  outcome: string;
  reason: string | null;
  actor_type: string;
  actor_id: string | null;
  target_type: string | null;
  target_id: string | null;
  client_address: string | null;
  user_agent: string | null;
  request_id: string | null;
  details: unknown;
}

/**
 * `host()` drops the prefix length that PostgreSQL writes after an inet value. Times are those that a message can hold: else
 * whoever writes to the database could put one event with another time into the trail, such as `infinity`, and nobody could
 * list any.
 */
const LISTED_COLUMNS = [
  ...COLUMNS.split(', ').filter((name) => name !== 'client_address'),
  'host(client_address) AS client_address',
  `least(greatest(at, '0001-01-01T00:00:00Z'), '9999-12-31T23:59:59Z') AS at`,
];

/**
 * The id of an event is dated by the clock of its instance, its `at` by the database's clock. The two differ by less
 * than this.
 */
const CLOCK_MARGIN_MS = 3_600_000;

/** Reads one page of events, newest first. */
export async function listAuditEvents(
  db: Knex,
  filter: AuditFilter,
  page: { beforeId: string | null; limit: number },
): Promise<RecordedEvent[]> {
  return (await auditEventsQuery(db, filter, page)).map(toEvent);
}

/**
 * The query of one page. Ids are UUIDv7, so a time range is also a range of the primary key. Each filter has an index in the
 * order of the ids, or matches so many events that a page is full soon.
 */
export function auditEventsQuery(
  db: Knex,
  { actor, target, action, outcome, since, until }: AuditFilter,
  page: { beforeId: string | null; limit: number },
): Knex.QueryBuilder<AuditRow, AuditRow[]> {
  const query = db<AuditRow>('audit_events')
    .select<AuditRow[]>(LISTED_COLUMNS.map((column) => db.raw(column)))
    .orderBy('id', 'desc')
    .limit(page.limit);
  if (page.beforeId !== null) void query.where('id', '<', page.beforeId);
  if (actor !== null) void query.where('actor_id', actor);
  if (target !== null) void query.where('target_id', target);
  if (action !== null) void query.where('action', action);
  if (outcome !== null) void query.where('outcome', outcome);
  if (since)
    void query.where('at', '>=', since).where('id', '>=', lowestEventId(since.getTime() - CLOCK_MARGIN_MS));
  if (until)
    void query.where('at', '<', until).where('id', '<', lowestEventId(until.getTime() + CLOCK_MARGIN_MS));
  return query;
}

/** The lowest UUIDv7 of a moment. @param ms Unix time, ms */
export function lowestEventId(ms: number): string {
  return uuidV7(Math.max(0, ms), new Uint8Array(16));
}

function toEvent(row: AuditRow): RecordedEvent {
  return {
    id: row.id,
    at: row.at,
    action: row.action,
    outcome: row.outcome,
    reason: row.reason,
    actorType: row.actor_type,
    actorId: row.actor_id,
    targetType: row.target_type,
    targetId: row.target_id,
    clientAddress: row.client_address,
    userAgent: row.user_agent,
    requestId: row.request_id,
    details: row.details,
  };
}

/**
 * Makes the partitions of the next three months, or else drops one whose events are all older than the retention. It waits for
 * locks for 100 ms at most, since those who write events wait behind it; the next turn tries again.
 *
 * @returns how many were made or dropped
 */
export async function maintainAuditPartitions(db: Knex): Promise<number> {
  const { rows } = await db.raw<{ rows: { changed: number }[] }>(
    'SELECT postern_make_partitions(?) AS changed',
    [AUDIT_RETENTION_DAYS],
  );
  return rows[0]?.changed ?? 0;
}

/** A partition of the audit trail. The first one has no lower bound, the default one has no bounds at all. */
export interface AuditPartition {
  readonly fromId: string | null;
  /** The first id that is not in it any more. */
  readonly toId: string | null;
}

/** Reads the partitions that have bounds, the oldest first. */
export async function listAuditPartitions(db: Knex): Promise<AuditPartition[]> {
  const { rows } = await db.raw<{ rows: AuditPartition[] }>(
    'SELECT from_id AS "fromId", to_id AS "toId" FROM postern_audit_partitions() WHERE to_id IS NOT NULL ORDER BY to_id',
  );
  return rows;
}

/** Whether there is an event with an id from `fromId` on and before `toId`; null is no limit. */
export async function hasAuditEventWithin(db: Knex, { fromId, toId }: AuditPartition): Promise<boolean> {
  const query = db('audit_events').select('id').limit(1);
  if (fromId !== null) void query.where('id', '>=', fromId);
  if (toId !== null) void query.where('id', '<', toId);
  return (await query).length > 0;
}

/**
 * Deletes a batch of events whose month did not go as a whole. A function of the database does it, because the service's own
 * role may not delete events (D17).
 *
 * @param limit at most 10000
 * @returns the number of deleted events
 */
export async function purgeAuditEvents(db: Knex, limit: number): Promise<number> {
  const { rows } = await db.raw<{ rows: { purged: number }[] }>(
    'SELECT postern_purge_audit_events(?, ?) AS purged',
    [MAX_AUDIT_AGE_DAYS, limit],
  );
  return rows[0]?.purged ?? 0;
}

/** Made by the instance, so that the event of a statement that is repeated has a new one. */
export function newAuditEventId(): string {
  return uuidV7(Date.now(), randomBytes(16));
}

/** Null for work without a call. */
export function recordedRequestId({ requestId }: CallOrigin): string | null {
  return requestId === '' ? null : requestId;
}

function toAuditRow({ event, origin }: AuditRecord): Record<AuditColumn, unknown> {
  return {
    id: newAuditEventId(),
    action: event.action,
    outcome: event.outcome,
    reason: event.reason ?? null,
    actor_type: event.actor.type,
    actor_id: event.actor.id,
    target_type: event.target?.type ?? null,
    target_id: event.target?.id ?? null,
    client_address: origin.address,
    user_agent: origin.userAgent,
    request_id: recordedRequestId(origin),
    details: event.details ?? null,
  };
}

function valuesOf(record: AuditRecord): (string | null)[] {
  const { details, ...row } = toAuditRow(record);
  return [...(Object.values(row) as (string | null)[]), details === null ? null : JSON.stringify(details)];
}
