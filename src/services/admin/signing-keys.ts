import { requireValid, text } from '../../domain/validation.ts';
import { Rejected, RETRY_AFTER_MS } from '../../domain/rejection.ts';
import { EnvelopeError } from '../../crypto/sealed-envelope.ts';
import type { SigningKey } from '../../generated/postern/v1/admin.ts';
import { revokeSigningKey } from '../../features/signing-keys/revoke-signing-key.ts';
import { rotateSigningKey } from '../../features/signing-keys/rotate-signing-key.ts';
import { listAllKeys, type StoredSigningKey } from '../../features/signing-keys/signing-key-queries.ts';
import { actorOf, type AdminHandlers, type AdminDependencies } from './admin-dependencies.ts';

/** The RPCs about signing keys. */
export function adminKeys(
  dependencies: AdminDependencies,
): Pick<AdminHandlers, 'listSigningKeys' | 'rotateSigningKey' | 'revokeSigningKey'> {
  const { database } = dependencies;
  const requireSigningKeys = () => {
    if (dependencies.signingKeys) return { database, ...dependencies.signingKeys };
    throw new Rejected({ kind: 'no-signing-keys' });
  };
  return {
    listSigningKeys: async (_request, call) => {
      if (!dependencies.signingKeys) return { signingKeys: [] };
      const keys = await database.run(call, listAllKeys);
      return { signingKeys: keys.map(signingKeyMessage) };
    },
    rotateSigningKey: async ({ now }, call) => {
      const rotation = { now, actor: actorOf(call), origin: call.origin };
      const { kid, activateAtMs } = await unavailableIfNotOpened(
        rotateSigningKey(requireSigningKeys(), rotation),
      );
      return { kid, activateAt: new Date(activateAtMs) };
    },
    revokeSigningKey: async ({ kid }, call) => {
      requireValid({ kid: text({ minBytes: 1, maxBytes: 64 }) }, { kid });
      const revocation = { kid, actor: actorOf(call), origin: call.origin };
      const { active } = await unavailableIfNotOpened(revokeSigningKey(requireSigningKeys(), revocation));
      return { activeKid: active };
    },
  };
}

/**
 * Answers with a retryable rejection when this instance cannot open the sealed keys. During a rotation of the master
 * key, they may be sealed with a key that only other instances have; a retry may reach one of those.
 */
async function unavailableIfNotOpened<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    if (!(cause instanceof EnvelopeError)) throw cause;
    throw new Rejected({ kind: 'trust-stale', retryAfterMs: RETRY_AFTER_MS }, { cause });
  }
}

/** Without key material: the private key is secret, and the public key is in the JWKS (A06). */
function signingKeyMessage(key: StoredSigningKey): SigningKey {
  return {
    kid: key.kid,
    algorithm: key.algorithm,
    state: key.state,
    createdAt: new Date(key.createdAtMs),
    activateAt: new Date(key.activatedAtMs ?? key.activateAtMs),
    removeAt: key.removeAtMs === null ? undefined : new Date(key.removeAtMs),
  };
}
