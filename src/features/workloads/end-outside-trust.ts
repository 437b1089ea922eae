import type { AuditedBy, AuditEvent } from '../../domain/audit-event.ts';
import type { Transaction } from '../../database/database.ts';
import { insertAuditEvent } from '../audit/audit-queries.ts';
import { revokeTokensOfBindings } from '../token-exchange/derived-token-queries.ts';
import { deleteCertificateBindings, lockBindingsOf, type WorkloadBinding } from './binding-queries.ts';
import type { TrustedIssuer } from './trusted-issuer.ts';
import { disableEveryIssuer } from './trusted-issuer-queries.ts';

/** What an administrator has to review, and to enable or create again. */
export interface EndedTrust {
  readonly issuers: readonly TrustedIssuer[];
  readonly certificateBindings: readonly WorkloadBinding[];
}

/**
 * Ends the trust in outside identities after the restoration of a backup, which may revive an issuer or a binding that was
 * deleted since: disables every issuer, whose bindings then give nothing until it is enabled again, and deletes the bindings
 * of client certificates, which have no issuer to disable. Revokes the tokens of both.
 */
export async function endOutsideTrust(trx: Transaction, { actor, origin }: AuditedBy): Promise<EndedTrust> {
  const audit = (event: Omit<AuditEvent, 'outcome' | 'actor'>) =>
    insertAuditEvent(trx, { event: { ...event, outcome: 'ok', actor }, origin });
  const issuers = await disableEveryIssuer(trx);
  for (const { id, issuer } of issuers) {
    await revokeTokensOfBindings(trx, await lockBindingsOf(trx, id));
    const details = { issuer, disabled: [false, true] };
    await audit({ action: 'issuer.update', target: { type: 'issuer', id }, reason: 'restore', details });
  }
  const certificateBindings = await deleteCertificateBindings(trx);
  await revokeTokensOfBindings(
    trx,
    certificateBindings.map(({ id }) => id),
  );
  for (const { id, accountId, claims } of certificateBindings) {
    const details = { service: accountId, claims };
    await audit({ action: 'binding.delete', target: { type: 'binding', id }, reason: 'restore', details });
  }
  return { issuers, certificateBindings };
}
