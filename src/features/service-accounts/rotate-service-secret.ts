import { randomBytes } from 'node:crypto';

import type { AuditActor, AuditEvent } from '../../domain/audit-event.ts';
import type { OperationCall } from '../../domain/operation-call.ts';
import { type FieldRules, requireValid, wholeNumber } from '../../domain/validation.ts';
import { Rejected } from '../../domain/rejection.ts';
import { Secret } from '../../domain/secret.ts';
import { SECRET_RANDOM_BYTES, type SecretDigests } from '../../crypto/keyed-digests.ts';
import { insertAuditEvent } from '../audit/audit-queries.ts';
import type { Database } from '../../database/database.ts';
import {
  lockServiceAccount,
  replaceServiceSecret,
  type ServiceAccount,
  type ServiceRef,
} from './service-account-queries.ts';
import { revokeServiceTokens, revokeTokensOfActor } from './service-token-queries.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';

/** Long enough to deploy a new secret everywhere the service runs. */
export const DEFAULT_OVERLAP_SECONDS = 86_400;
export const MAX_OVERLAP_SECONDS = 30 * 86_400;

const rules: FieldRules<{ overlapSeconds: number }> = {
  overlapSeconds: wholeNumber({ min: 0, max: MAX_OVERLAP_SECONDS }),
};

/**
 * Gives a service account a new secret. The current one stays valid for the overlap; an older one becomes invalid at
 * once. Without an overlap the current secret is treated as leaked: it becomes invalid now and every token of the
 * account, and every one in which it acts, is revoked, because an attacker may have requested tokens with it.
 *
 * @param change.overlapSeconds 0 to 30 days
 * @param dependencies.trust see `deleteServiceAccount`
 * @throws Rejected `field-invalid`, `not-found`, `store-unavailable`
 */
export async function rotateServiceSecret(
  dependencies: {
    readonly database: Database;
    readonly digests: SecretDigests;
    readonly trust: Pick<TrustBundle, 'revoke'> | null;
  },
  change: { readonly account: ServiceRef; readonly overlapSeconds: number; readonly actor: AuditActor },
  call: OperationCall,
): Promise<{ readonly account: ServiceAccount; readonly clientSecret: Secret }> {
  const { overlapSeconds, actor } = change;
  requireValid(rules, { overlapSeconds });
  const { digests } = dependencies;
  const { account, secret, revocations } = await dependencies.database.transaction(call, async (trx) => {
    const locked = await lockServiceAccount(trx, change.account);
    if (!locked) throw new Rejected({ kind: 'not-found', resource: 'service account' });
    const secret = digests.makeServiceSecret(locked.id, randomBytes(SECRET_RANDOM_BYTES));
    const secretDigest = digests.ofServiceSecret(secret);
    const changed = await replaceServiceSecret(trx, { id: locked.id, secretDigest, overlapSeconds });
    if (!changed) throw new Rejected({ kind: 'not-found', resource: 'service account' });
    const revoked =
      overlapSeconds > 0
        ? []
        : [...(await revokeServiceTokens(trx, changed.id)), ...(await revokeTokensOfActor(trx, changed.id))];
    const event: AuditEvent = {
      action: 'service.rotate',
      outcome: 'ok',
      actor,
      target: { type: 'service', id: changed.id },
      details: { overlap_seconds: overlapSeconds, tokens: revoked.length },
    };
    await insertAuditEvent(trx, { event, origin: call.origin });
    return { account: changed, secret, revocations: revoked };
  });
  dependencies.trust?.revoke(revocations);
  return { account, clientSecret: new Secret(secret) };
}
