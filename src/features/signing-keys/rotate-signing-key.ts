import type { AuditedBy } from '../../domain/audit-event.ts';
import { activationTime, removalTime } from './key-lifecycle.ts';
import { insertAuditEvent } from '../audit/audit-queries.ts';
import * as store from './signing-key-queries.ts';
import { newSealedKey, type SigningKeyDependencies } from './advance-signing-keys.ts';
import { StoredKeyChecker } from './check-stored-keys.ts';

/**
 * Publishes a new key, which signs once no verifier's copy of the key set lacks it; with `now` it signs at once, and
 * verifiers that keep an older set refuse its tokens until they ask again. While a new key is waiting, no other is
 * made: that one is the answer.
 *
 * @returns the kid of the new key, when it signs, epoch milliseconds, and whether it was there before this call
 * @throws EnvelopeError when no given master key seals the keys now
 */
export async function rotateSigningKey(
  { database, policy, masterKeys }: SigningKeyDependencies,
  { now, actor, origin }: { readonly now: boolean } & AuditedBy,
): Promise<{ kid: string; activateAtMs: number; wasWaiting: boolean }> {
  return database.unlimited(async (trx) => {
    await store.lockSigningKeys(trx);
    const keys = await store.listVerifyingKeys(trx);
    const nowMs = await store.readClock(trx);
    // One that is not ours, or that this master key does not open, is none that waits.
    const { trusted } = await new StoredKeyChecker(masterKeys).checkAll(keys);
    let next: { kid: string; activateAtMs: number } | undefined = trusted.find(
      ({ stored }) => stored.state === 'pending',
    )?.stored;
    const wasWaiting = next !== undefined;
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
    if (!now) return { kid: next.kid, activateAtMs: next.activateAtMs, wasWaiting };
    const active = keys.find(({ state }) => state === 'active');
    if (active) await store.retireKey(trx, active.kid, removalTime(policy, nowMs));
    await store.activateKey(trx, next.kid);
    return { kid: next.kid, activateAtMs: nowMs, wasWaiting };
  });
}
