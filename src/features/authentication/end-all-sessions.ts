import type { AuditEvent, AuditedBy } from '../../domain/audit-event.ts';
import { revokeApiKeyRows } from '../api-keys/api-key-queries.ts';
import { insertAuditEvent } from '../audit/audit-queries.ts';
import type { Database, Transaction } from '../../database/database.ts';
import { deleteAllPasswordResets } from '../users/password-reset-queries.ts';
import { deleteAllRecoveryCodes } from '../second-factors/recovery-codes/recovery-code-queries.ts';
import { endSessions, lockAllSessions } from '../sessions/session-queries.ts';
import {
  insertActiveKey,
  listVerifyingKeys,
  lockSigningKeys,
  revokeKey,
} from '../signing-keys/signing-key-queries.ts';
import { type EndedTrust, endOutsideTrust } from '../workloads/end-outside-trust.ts';
import { type KeyMaking, newSealedKey } from '../signing-keys/advance-signing-keys.ts';

/**
 * Ends all sessions of all users and revokes their access tokens.
 *
 * @param input.restored for a database that was restored from a backup (D18): also revokes all signing keys and
 *   creates a new one, unless `keys` is null as with a shared secret, because access tokens may exist that the backup does not know; deletes pending password
 *   resets and recovery codes and revokes all API keys, because they may have been used or revoked since the backup; and
 *   ends the trust in outside identities. Null to keep all.
 * @returns how many sessions ended, the kid of the new signing key, how many users lost their recovery codes, and what was
 *   trusted; null when they were kept
 */
export async function endAllSessions(
  { database }: { readonly database: Database },
  { restored, ...auditedBy }: { readonly restored: { readonly keys: KeyMaking | null } | null } & AuditedBy,
): Promise<{
  sessions: number;
  active: string | null;
  apiKeys: number;
  usersWithoutRecoveryCodes: number;
  endedTrust: EndedTrust | null;
}> {
  return database.unlimited(async (trx) => {
    await lockAllSessions(trx);
    const ended = await endSessions(trx, 'all', 'administrator');
    await audit(trx, auditedBy, { action: 'session.revoke', details: { sessions: ended.length, all: true } });
    const sessions = ended.length;
    if (restored === null)
      return { sessions, active: null, apiKeys: 0, usersWithoutRecoveryCodes: 0, endedTrust: null };
    await deleteAllPasswordResets(trx);
    const { ids } = await revokeApiKeyRows(trx, 'all');
    await audit(trx, auditedBy, { action: 'key.api.revoke', details: { api_keys: ids.length, all: true } });
    const users = await deleteAllRecoveryCodes(trx);
    await audit(trx, auditedBy, { action: 'recovery-codes.replace', details: { users, all: true } });
    const endedTrust = await endOutsideTrust(trx, auditedBy);
    const active = restored.keys && (await replaceSigningKeys(trx, restored.keys, auditedBy));
    return { sessions, apiKeys: ids.length, active, usersWithoutRecoveryCodes: users, endedTrust };
  });
}

async function replaceSigningKeys(
  trx: Transaction,
  { policy, masterKeys }: KeyMaking,
  auditedBy: AuditedBy,
): Promise<string> {
  await lockSigningKeys(trx);
  for (const { kid } of await listVerifyingKeys(trx)) {
    await revokeKey(trx, kid);
    await audit(trx, auditedBy, { action: 'key.revoke', target: { type: 'signing-key', id: kid } });
  }
  const key = await newSealedKey(trx, policy.algorithm, masterKeys);
  await insertActiveKey(trx, key);
  return key.kid;
}

async function audit(
  trx: Transaction,
  { actor, origin }: AuditedBy,
  event: Pick<AuditEvent, 'action' | 'target' | 'details'>,
): Promise<void> {
  await insertAuditEvent(trx, { event: { ...event, outcome: 'ok', actor }, origin });
}
