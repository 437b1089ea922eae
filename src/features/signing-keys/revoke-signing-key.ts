import type { AuditedBy, AuditEvent } from '../../domain/audit-event.ts';
import { Rejected } from '../../domain/rejection.ts';
import { insertAuditEvent } from '../audit/audit-queries.ts';
import * as store from './signing-key-queries.ts';
import { newSealedKey, type SigningKeyDependencies } from './advance-signing-keys.ts';
import { StoredKeyChecker } from './check-stored-keys.ts';

/**
 * Revokes a key and with it every token that it signed. This is for a private key that may have leaked. When it was the
 * active key, the pending key or a new one signs from now on. Repeating it does not change the keys.
 *
 * @returns the kid of the key that signs now
 * @throws Rejected `not-found` for an unknown kid; EnvelopeError when a new key is needed and none of the master keys
 *   is the one that seals the other keys
 */
export async function revokeSigningKey(
  { database, policy, masterKeys }: SigningKeyDependencies,
  { kid, actor, origin }: { readonly kid: string } & AuditedBy,
): Promise<{ active: string }> {
  return database.unlimited(async (trx) => {
    await store.lockSigningKeys(trx);
    if (!(await store.listAllKeys(trx)).some((key) => key.kid === kid)) {
      throw new Rejected({ kind: 'not-found', resource: 'signing key' });
    }
    await store.revokeKey(trx, kid);
    const target = { type: 'signing-key', id: kid } as const;
    const event: AuditEvent = { action: 'key.revoke', outcome: 'ok', actor, target };
    await insertAuditEvent(trx, { event, origin });
    const remaining = await store.listVerifyingKeys(trx);
    const active = remaining.find(({ state }) => state === 'active');
    if (active) return { active: active.kid };
    const { trusted } = await new StoredKeyChecker(masterKeys).checkAll(remaining);
    const pending = trusted.find(({ stored }) => stored.state === 'pending')?.stored;
    if (pending) {
      await store.activateKey(trx, pending.kid);
      return { active: pending.kid };
    }
    const key = await newSealedKey(trx, policy.algorithm, masterKeys);
    await store.insertActiveKey(trx, key);
    return { active: key.kid };
  });
}
