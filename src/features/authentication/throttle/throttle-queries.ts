import type { Knex } from 'knex';

import type { LoginThrottlePolicy } from './throttle-policy.ts';
import { prepared } from '../../../database/prepared.ts';
import { purgeBatch } from '../../../database/purge-batch.ts';
import type { Email } from '../../users/email.ts';
import type { ForgivenAttempt } from '../../sessions/open-session-queries.ts';
import type { LoginRecord } from '../../users/user-queries.ts';

/**
 * The keyed hashes by which an attempt is counted. To avoid deadlocks, every statement locks the row of the pair before that
 * of the account: here the part about the account reads the result of the pair's CTE, which PostgreSQL would otherwise run
 * last.
 */
export interface AttemptKeys {
  /** E-mail and source. */
  readonly pair: Uint8Array;
  /** The e-mail alone. */
  readonly account: Uint8Array;
}

/** Either the user of an attempt that may be evaluated, null for an unknown e-mail, or when the next one is admitted. */
export type BegunLogin =
  | { readonly admitted: true; readonly user: LoginRecord | null }
  | { readonly admitted: false; readonly waitMs: number };

interface BegunRow {
  admitted: boolean;
  wait_ms: number | null;
  user_id: string | null;
  stored_hash: string | null;
  user_roles: string[];
  user_disabled: boolean;
  user_external_id: string | null;
}

const MIN_WAIT_MS = 1_000;

/**
 * Counts an attempt as failed, in one statement and before the password is evaluated, so that concurrent guesses cannot
 * exceed a limit (L09), and reads the user. The plan of the function is the same for every size of the table, so its
 * duration does not show whether the user exists (L02). Uses the database's clock.
 */
export async function beginLogin(
  db: Knex,
  attempt: AttemptKeys & { readonly email: Email },
  policy: LoginThrottlePolicy,
): Promise<BegunLogin> {
  const { rows } = await prepared<{ rows: [BegunRow] }>(
    db,
    'begin-login',
    'SELECT * FROM postern_begin_login_1(?, ?, ?, ?, ?, ?, ?, ?)',
    [
      attempt.email,
      Buffer.from(attempt.pair),
      Buffer.from(attempt.account),
      [...policy.delaysSeconds],
      policy.knownSourceAllowance,
      policy.forgetAfterSeconds,
      policy.accountWindowSeconds,
      policy.maxPerAccount,
    ],
  );
  const [row] = rows;
  // `wait_ms` is null when the counter was deleted in the meantime.
  if (!row.admitted) return { admitted: false, waitMs: Math.max(row.wait_ms ?? 0, MIN_WAIT_MS) };
  if (row.user_id === null) return { admitted: true, user: null };
  const user = {
    id: row.user_id,
    passwordHash: row.stored_hash,
    roles: row.user_roles,
    disabled: row.user_disabled,
    externalId: row.user_external_id,
  };
  return { admitted: true, user };
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

/**
 * Takes back an attempt whose credential was right, as `postern_open_session_2` does for one that opens a session. The count of
 * `pair` is awaited first, so that the rows are locked in the order in which `beginLogin` locks them.
 */
export async function forgiveAttempt(db: Knex, forgiven: ForgivenAttempt): Promise<void> {
  await db.raw(
    `WITH pair AS (
       UPDATE login_throttle SET failures = 0, blocked_until = NULL,
              known_until = clock_timestamp() + make_interval(secs => :seconds),
              expires_at = clock_timestamp() + make_interval(secs => :seconds)
       WHERE key = :pair RETURNING true
     )
     UPDATE login_throttle SET failures = greatest(failures - 1, 0)
     WHERE key = :account AND (SELECT count(*) FROM pair) >= 0`,
    {
      pair: Buffer.from(forgiven.pair),
      account: Buffer.from(forgiven.account),
      seconds: forgiven.knownSourceSeconds,
    },
  );
}

/** Deletes both counters, in the order in which `beginLogin` locks the rows. */
export async function deleteAttempts(db: Knex, keys: AttemptKeys): Promise<void> {
  await db.raw(
    `WITH pair AS (DELETE FROM login_throttle WHERE key = :pair RETURNING true)
     DELETE FROM login_throttle WHERE key = :account AND (SELECT count(*) FROM pair) >= 0`,
    { pair: Buffer.from(keys.pair), account: Buffer.from(keys.account) },
  );
}

/** Deletes up to `limit` expired counters and returns how many. */
export function purgeLoginThrottle(db: Knex, limit: number): Promise<number> {
  return purgeBatch(db, { table: 'login_throttle', keptSeconds: 0 }, limit);
}
