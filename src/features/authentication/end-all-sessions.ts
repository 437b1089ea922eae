import type { AuditEvent, AuditedBy } from '../../domain/audit-event.ts';
import { insertAuditEvent } from '../audit/audit-queries.ts';
import type { Database, Transaction } from '../../database/database.ts';
import { deleteAllPasswordResets } from '../users/password-reset-queries.ts';
import { endSessions, lockAllSessions } from '../sessions/session-queries.ts';
import * as store from '../signing-keys/signing-key-queries.ts';
import { type KeyMaking, newSealedKey } from '../signing-keys/advance-signing-keys.ts';

/**
 * Ends every session of every user, and revokes their access tokens.
 *
 * @param input.replaceKeys for a database that was restored from a backup: revokes every signing key as well and makes a new
 *   one, which ends access tokens that this database does not know of, and forgets pending password resets, which may
 *   have been used (D18). Null to leave both alone.
 * @returns how many sessions ended, and the kid of the key that signs if it is a new one
 */
export async function endAllSessions(
  { database }: { readonly database: Database },
  { replaceKeys, ...by }: { readonly replaceKeys: KeyMaking | null } & AuditedBy,
): Promise<{ sessions: number; active: string | null }> {
  return database.unlimited(async (trx) => {
    await lockAllSessions(trx);
    const ended = await endSessions(trx, 'all', 'administrator');
    await audit(trx, by, { action: 'session.revoke', details: { sessions: ended.length, all: true } });
    if (replaceKeys === null) return { sessions: ended.length, active: null };
    await deleteAllPasswordResets(trx);
    return { sessions: ended.length, active: await replaceSigningKeys(trx, replaceKeys, by) };
  });
}

async function replaceSigningKeys(
  trx: Transaction,
  { policy, masterKeys }: KeyMaking,
  by: AuditedBy,
): Promise<string> {
  await store.lockSigningKeys(trx);
  for (const { kid } of await store.listVerifyingKeys(trx)) {
    await store.revokeKey(trx, kid);
    await audit(trx, by, { action: 'key.revoke', target: { type: 'signing-key', id: kid } });
  }
  const key = await newSealedKey(trx, policy.algorithm, masterKeys);
  await store.insertActiveKey(trx, key);
  return key.kid;
}

async function audit(
  trx: Transaction,
  { actor, origin }: AuditedBy,
  event: Pick<AuditEvent, 'action' | 'target' | 'details'>,
): Promise<void> {
  await insertAuditEvent(trx, { event: { ...event, outcome: 'ok', actor }, origin });
}
