import type { Knex } from 'knex';

import type { LoginThrottlePolicy } from './throttle-policy.ts';
import { prepared } from '../../../database/prepared.ts';
import { purgeBatch } from '../../../database/purge-batch.ts';

/**
 * Under which keyed hashes an attempt counts. Every statement here locks the row of the pair before that of the account:
 * the account's update asks for the result of the pair's, which PostgreSQL would else do last.
 */
export interface AttemptKeys {
  /** E-mail and source. */
  readonly pair: Uint8Array;
  /** The e-mail alone. */
  readonly account: Uint8Array;
}

/**
 * Counts an attempt as failed, in one statement and before anything is evaluated, so that no number of parallel guesses
 * passes a limit (L09). By the database's clock.
 *
 * @returns null when the attempt may be evaluated, else how long to wait, ms
 */
export async function reserveAttempt(
  db: Knex,
  keys: AttemptKeys,
  policy: LoginThrottlePolicy,
): Promise<number | null> {
  const delays = policy.delaysSeconds;
  const { rows } = await prepared<{ rows: { admitted: boolean; wait_ms: string | null }[] }>(
    db,
    'reserve-attempt',
    `WITH pair AS (
       INSERT INTO login_throttle AS t (key, failures, blocked_until, expires_at)
       VALUES (:pair, 1, clock_timestamp() + make_interval(secs => (:delays::float[])[1]),
               clock_timestamp() + make_interval(secs => :forget))
       ON CONFLICT (key) DO UPDATE SET
         failures = CASE WHEN t.expires_at <= clock_timestamp() THEN 1 ELSE t.failures + 1 END,
         blocked_until = clock_timestamp() + make_interval(secs => (:delays::float[])[
           least(:steps, greatest(1, CASE WHEN t.expires_at <= clock_timestamp() THEN 1 ELSE t.failures + 1 END
             - CASE WHEN t.known_until > clock_timestamp() THEN :allowance ELSE 0 END))]),
         expires_at = greatest(t.known_until, clock_timestamp() + make_interval(secs => :forget))
       WHERE t.blocked_until IS NULL OR t.blocked_until <= clock_timestamp()
       RETURNING coalesce(known_until > clock_timestamp(), false) AS known
     ), account AS (
       INSERT INTO login_throttle AS t (key, failures, expires_at)
       SELECT :account, 1, clock_timestamp() + make_interval(secs => :window) FROM pair
       ON CONFLICT (key) DO UPDATE SET
         failures = CASE WHEN t.expires_at <= clock_timestamp() THEN 1 ELSE t.failures + 1 END,
         expires_at = CASE WHEN t.expires_at <= clock_timestamp()
                           THEN clock_timestamp() + make_interval(secs => :window) ELSE t.expires_at END
       WHERE t.failures < :max OR t.expires_at <= clock_timestamp() OR (SELECT known FROM pair)
       RETURNING true
     )
     SELECT EXISTS (SELECT FROM account) AS admitted,
            ceil(extract(epoch FROM (CASE WHEN EXISTS (SELECT FROM pair)
              THEN (SELECT expires_at FROM login_throttle WHERE key = :account)
              ELSE (SELECT blocked_until FROM login_throttle WHERE key = :pair)
            END) - clock_timestamp()) * 1000)::text AS wait_ms`,
    {
      pair: Buffer.from(keys.pair),
      account: Buffer.from(keys.account),
      delays: [...delays],
      steps: delays.length,
      allowance: policy.knownSourceAllowance,
      forget: policy.forgetAfterSeconds,
      window: policy.accountWindowSeconds,
      max: policy.maxPerAccount,
    },
  );
  const [row] = rows;
  if (row?.admitted) return null;
  // A racer whose row this statement could not see yet has been counted at this very moment.
  const waitMs = Number(row?.wait_ms ?? 0);
  return Math.max(waitMs, MIN_WAIT_MS);
}

const MIN_WAIT_MS = 1_000;

/** The right password came: its source begins anew and is known, and the account has one failure less. */
export async function forgiveAttempt(
  db: Knex,
  keys: AttemptKeys,
  policy: LoginThrottlePolicy,
): Promise<void> {
  await prepared(
    db,
    'forgive-attempt',
    `WITH pair AS (
       UPDATE login_throttle SET failures = 0, blocked_until = NULL,
         known_until = clock_timestamp() + make_interval(secs => :known),
         expires_at = clock_timestamp() + make_interval(secs => :known)
       WHERE key = :pair RETURNING true
     )
     UPDATE login_throttle SET failures = greatest(failures - 1, 0)
     WHERE key = :account AND (SELECT count(*) FROM pair) >= 0`,
    {
      pair: Buffer.from(keys.pair),
      account: Buffer.from(keys.account),
      known: policy.knownSourceSeconds,
    },
  );
}

/** Nothing was evaluated: the attempt counts for neither side. */
export async function releaseAttempt(db: Knex, keys: AttemptKeys): Promise<void> {
  await db.raw(
    `WITH pair AS (
       UPDATE login_throttle SET failures = greatest(failures - 1, 0), blocked_until = NULL
       WHERE key = :pair RETURNING true
     )
     UPDATE login_throttle SET failures = greatest(failures - 1, 0)
     WHERE key = :account AND (SELECT count(*) FROM pair) >= 0`,
    { pair: Buffer.from(keys.pair), account: Buffer.from(keys.account) },
  );
}

/** Forgets what was counted, in the order in which `reserveAttempt` locks the rows. */
export async function deleteAttempts(db: Knex, keys: AttemptKeys): Promise<void> {
  for (const key of [keys.pair, keys.account])
    await db.raw('DELETE FROM login_throttle WHERE key = ?', [Buffer.from(key)]);
}

/** Forgets a batch of counters that mean nothing any more, and returns how many. */
export function purgeLoginThrottle(db: Knex, limit: number): Promise<number> {
  return purgeBatch(db, { table: 'login_throttle', keptSeconds: 0 }, limit);
}
