import type { AuditedBy } from '../../domain/audit-event.ts';
import { activationTime, removalTime } from './key-lifecycle.ts';
import { insertAuditEvent } from '../audit/audit-queries.ts';
import * as store from './signing-key-queries.ts';
import { newSealedKey, type SigningKeyDependencies } from './advance-signing-keys.ts';
import { StoredKeyChecker } from './check-stored-keys.ts';

/**
 * Publishes a new signing key. It signs as soon as every verifier's copy of the JWKS contains it. While a pending key
 * exists, no further key is created and that one is returned.
 *
 * @param rotation.now whether the key signs at once; verifiers with an older JWKS then refuse its tokens until they
 *   fetch the JWKS again
 * @returns the kid of the new key, when it signs (Unix time, ms), and whether it was pending before this call
 * @throws EnvelopeError when none of the master keys is the one that seals the keys now
 */
export async function rotateSigningKey(
  { database, policy, masterKeys }: SigningKeyDependencies,
  { now, actor, origin }: { readonly now: boolean } & AuditedBy,
): Promise<{ kid: string; activateAtMs: number; wasPending: boolean }> {
  return database.unlimited(async (trx) => {
    await store.lockSigningKeys(trx);
    const keys = await store.listVerifyingKeys(trx);
    const nowMs = await store.readClock(trx);
    // A pending key that fails its check is ignored.
    const { trusted } = await new StoredKeyChecker(masterKeys).checkAll(keys);
    let next: { kid: string; activateAtMs: number } | undefined = trusted.find(
      ({ stored }) => stored.state === 'pending',
    )?.stored;
    const wasPending = next !== undefined;
    if (!next) {
      const key = await newSealedKey(trx, policy.algorithm, masterKeys);
      next = { kid: key.kid, activateAtMs: activationTime(policy, nowMs) };
      await store.insertPendingKey(trx, key, next.activateAtMs);
    }
    await insertAuditEvent(trx, {
      event: {
        action: 'key.rotate',
        outcome: 'ok',
        actor,
        target: { type: 'signing-key', id: next.kid },
        details: { now },
      },
      origin,
    });
    if (!now) return { kid: next.kid, activateAtMs: next.activateAtMs, wasPending };
    const active = keys.find(({ state }) => state === 'active');
    if (active) await store.retireKey(trx, active.kid, removalTime(policy, nowMs));
    await store.activateKey(trx, next.kid);
    return { kid: next.kid, activateAtMs: nowMs, wasPending };
  });
}
