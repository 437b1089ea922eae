import type { Knex } from 'knex';

import { purgeBatch } from '../../database/purge-batch.ts';
import type { Revocation, RevocationKind } from '../../domain/revocation-set.ts';

/**
 * How long a revocation is kept after the last token that it concerns has expired, in seconds. A token may be dated 5 s
 * ahead of the database's clock. It may be issued up to a minute (`MAX_UNRECORDED_REPEAT_MS`) and the duration of a call
 * after its session was written. Verifiers allow 5 s of clock skew and may be a minute behind. The rest is a safety margin (S17).
 */
export const REVOCATION_MARGIN_SECONDS = 180;

/** A revocation with the transaction that wrote it. Instances read revocations in the order of these transactions. */
export interface WrittenRevocation extends Revocation {
  /** The transaction's number (xid8). */
  readonly writtenBy: bigint;
  /** How long before this read the transaction began, by the database's clock, ms. */
  readonly ageMs: number;
}

export interface RevocationPage {
  /**
   * When the server process started or its statistics were reset, microseconds of Unix time. It differs after a
   * failover or a restart, when transaction numbers may have gone back.
   */
  readonly epoch: bigint;
  /** The oldest transaction that was still running (xid8). */
  readonly horizon: bigint;
  /** Whether the server is a standby, or a primary with read-only transactions. */
  readonly readOnly: boolean;
  /** The database's clock, Unix time. Revocations expire by it (S08). */
  readonly nowSeconds: number;
  readonly rows: readonly WrittenRevocation[];
}

interface FeedRow {
  readonly server_epoch: string;
  readonly read_only: string;
  readonly horizon: string;
  readonly now_seconds: string;
  readonly kind: RevocationKind | null;
  readonly id: string;
  readonly expires_at_seconds: string;
  readonly written_by: string;
  readonly age_ms: string;
}

/**
 * The SQL that writes revocations. It serves as a statement and as a part of a WITH clause. For a revocation that
 * exists already, the later expiry is kept.
 *
 * @param rows a SELECT or VALUES that gives kind, id and expiry
 */
export function revocationUpsert(rows: string): string {
  return `INSERT INTO revocations (kind, id, expires_at) ${rows}
     ON CONFLICT (kind, id) DO UPDATE SET expires_at = excluded.expires_at, written_by = excluded.written_by,
       written_at = excluded.written_at
     WHERE excluded.expires_at > revocations.expires_at`;
}

/** Writes one revocation. Repeating it changes nothing. */
export async function insertRevocation(db: Knex, revocation: Revocation): Promise<void> {
  await db.raw(revocationUpsert('VALUES (?, ?, to_timestamp(?))'), [
    revocation.kind,
    revocation.id,
    revocation.expiresAtSeconds,
  ]);
}

/**
 * SQL: identifies the server within which transaction numbers only grow. A promoted standby that lagged behind and a server
 * after a crash reuse them. Either has a later start time or, when only its backends were restarted, has lost its statistics.
 */
export const SERVER_EPOCH = `(extract(epoch FROM greatest(pg_postmaster_start_time(), pg_stat_get_bgwriter_stat_reset_time()))
             * 1000000)::bigint::text`;

/**
 * Reads one page of the revocations in force that were written by transaction `since` or a later one, ordered by
 * transaction. Every transaction older than `horizon` has ended and its rows are visible, so a reader that continues
 * from there misses nothing, however late a transaction commits.
 *
 * This holds within one epoch (`SERVER_EPOCH`).
 *
 * @param page.after the last row of the previous page, or null for the first page
 */
export async function readRevocations(
  db: Knex,
  page: { since: bigint; after: WrittenRevocation | null; limit: number },
): Promise<RevocationPage> {
  const { since, after, limit } = page;
  const { rows } = await db.raw<{ rows: FeedRow[] }>(
    `SELECT ${SERVER_EPOCH} AS server_epoch,
            current_setting('transaction_read_only') AS read_only,
            horizon::text, extract(epoch FROM now())::text AS now_seconds, page.kind, page.id, page.written_by::text,
            ceil(extract(epoch FROM page.expires_at))::text AS expires_at_seconds,
            (extract(epoch FROM clock_timestamp() - page.written_at) * 1000)::text AS age_ms
     FROM (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS horizon) AS moment
     LEFT JOIN LATERAL (
       SELECT kind, id, written_by, written_at, expires_at FROM revocations
       WHERE (written_by, kind, id) > (?::xid8, ?, ?) AND expires_at > now()
       ORDER BY written_by, kind, id LIMIT ?
     ) AS page ON true`,
    after
      ? [after.writtenBy.toString(), after.kind, after.id, limit]
      : [(since > 0n ? since - 1n : 0n).toString(), '~', '', limit],
  );
  return {
    epoch: BigInt(rows[0]?.server_epoch ?? '0'),
    horizon: BigInt(rows[0]?.horizon ?? '0'),
    readOnly: rows[0]?.read_only === 'on',
    nowSeconds: Number(rows[0]?.now_seconds ?? '0'),
    rows: rows.flatMap((row) => (row.kind === null ? [] : [writtenRevocation(row.kind, row)])),
  };
}

function writtenRevocation(kind: RevocationKind, row: FeedRow): WrittenRevocation {
  return {
    kind,
    id: row.id,
    expiresAtSeconds: Number(row.expires_at_seconds),
    writtenBy: BigInt(row.written_by),
    ageMs: Number(row.age_ms),
  };
}

/** Deletes a batch of expired revocations and returns how many. */
export function purgeRevocations(db: Knex, limit: number): Promise<number> {
  return purgeBatch(db, { table: 'revocations', keptSeconds: 0 }, limit);
}
