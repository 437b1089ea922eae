import type { Knex } from 'knex';

import type { LoginThrottlePolicy } from './throttle-policy.ts';
import { prepared } from '../../../database/prepared.ts';
import { purgeBatch } from '../../../database/purge-batch.ts';

/**
 * The keyed hashes by which an attempt is counted. To avoid deadlocks, every statement here locks the row of the pair
 * before that of the account: the update of the account reads the result of the pair's CTE, which PostgreSQL would
 * otherwise run last.
 */
export interface AttemptKeys {
  /** E-mail and source. */
  readonly pair: Uint8Array;
  /** The e-mail alone. */
  readonly account: Uint8Array;
}

/**
 * Counts an attempt as failed, in one statement and before the password is evaluated, so that concurrent guesses cannot
 * exceed a limit (L09). Uses the database's clock.
 *
 * @returns null when the attempt may be evaluated, otherwise the time until the next one is admitted, ms
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
  // `wait_ms` is null when a concurrent attempt has inserted a row that the snapshot of this statement does not see.
  const waitMs = Number(row?.wait_ms ?? 0);
  return Math.max(waitMs, MIN_WAIT_MS);
}

const MIN_WAIT_MS = 1_000;

/** After the right password: resets the source and makes it known, and takes the attempt off the account's failures. */
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

/** Takes back an attempt that was not evaluated, for the pair and for the account. */
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

/** Deletes both counters, in the order in which `reserveAttempt` locks the rows. */
export async function deleteAttempts(db: Knex, keys: AttemptKeys): Promise<void> {
  for (const key of [keys.pair, keys.account])
    await db.raw('DELETE FROM login_throttle WHERE key = ?', [Buffer.from(key)]);
}

/** Deletes up to `limit` expired counters and returns how many. */
export function purgeLoginThrottle(db: Knex, limit: number): Promise<number> {
  return purgeBatch(db, { table: 'login_throttle', keptSeconds: 0 }, limit);
}
