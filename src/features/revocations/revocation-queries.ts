import type { Knex } from 'knex';

import { purgeBatch } from '../../database/purge-batch.ts';
import type { Revocation, RevocationKind } from '../../domain/revocation-set.ts';

/**
 * How far a revocation outlives the last token that it concerns, in seconds. A token may be dated 5 s ahead of the
 * database's clock, and be given a minute of grace and the time of a call after its session was written. Verifiers grant
 * 5 s and may be behind by a minute; the rest is room (S17).
 */
export const REVOCATION_MARGIN_SECONDS = 180;

/** A revocation and the transaction that wrote it: the order in which instances read them. */
export interface WrittenRevocation extends Revocation {
  readonly writtenBy: bigint;
  /** How long ago that was when it was read, by the database's clock. */
  readonly ageMs: number;
}

export interface RevocationPage {
  /** Microseconds: another one when this is another server, or it began anew, and transaction numbers may go back. */
  readonly epoch: bigint;
  readonly horizon: bigint;
  /** Whether the server is a standby, or a primary that was told not to write any more. */
  readonly readOnly: boolean;
  /** The database's clock, Unix time: the one by which revocations expire (S08). */
  readonly nowSeconds: number;
  readonly rows: readonly WrittenRevocation[];
}

interface FeedRow {
  readonly era: string;
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
 * Writes revocations from rows of kind, id and expiry (a SELECT or VALUES); of one that is written already the later expiry
 * counts. For a statement of its own, and for a part of a WITH.
 */
export function revocationUpsert(rows: string): string {
  return `INSERT INTO revocations (kind, id, expires_at) ${rows}
     ON CONFLICT (kind, id) DO UPDATE SET expires_at = excluded.expires_at, written_by = excluded.written_by,
       written_at = excluded.written_at
     WHERE excluded.expires_at > revocations.expires_at`;
}

/** Revokes one token or session until `expiresAtSeconds` (Unix time); repeating it changes nothing. */
export async function insertRevocation(db: Knex, revocation: Revocation): Promise<void> {
  await db.raw(revocationUpsert('VALUES (?, ?, to_timestamp(?))'), [
    revocation.kind,
    revocation.id,
    revocation.expiresAtSeconds,
  ]);
}

/**
 * One page of the revocations in force that were written by transaction `since` or a later one, in the order of
 * transactions. `horizon` is the oldest transaction that was still running: everything older is seen for good, so a
 * reader that asks from there the next time misses nothing, however late a transaction commits.
 *
 * That holds within one era. A promoted standby that was behind, and a server after a crash, use numbers again that
 * were given out before. Either has started later or, when only its backends were restarted, has lost its statistics.
 *
 * @param page.after the last row of the page before, or null for the first page
 */
export async function readRevocations(
  db: Knex,
  page: { since: bigint; after: WrittenRevocation | null; limit: number },
): Promise<RevocationPage> {
  const { since, after, limit } = page;
  const { rows } = await db.raw<{ rows: FeedRow[] }>(
    `SELECT (extract(epoch FROM greatest(pg_postmaster_start_time(), pg_stat_get_bgwriter_stat_reset_time()))
             * 1000000)::bigint::text AS era,
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
    epoch: BigInt(rows[0]?.era ?? '0'),
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

/** Forgets a batch of expired revocations and returns how many. */
export function purgeRevocations(db: Knex, limit: number): Promise<number> {
  return purgeBatch(db, { table: 'revocations', keptSeconds: 0 }, limit);
}
