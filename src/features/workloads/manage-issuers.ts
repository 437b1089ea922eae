import { randomBytes } from 'node:crypto';

import type { AuditActor, AuditEvent } from '../../domain/audit-event.ts';
import type { CallBudget, OperationCall } from '../../domain/operation-call.ts';
import { Rejected } from '../../domain/rejection.ts';
import { uuidV7 } from '../../domain/uuid.ts';
import type { Database, Transaction } from '../../database/database.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import { insertAuditEvent } from '../audit/audit-queries.ts';
import { revokeTokensOfBindings } from '../token-exchange/derived-token-queries.ts';
import { lockBindingsOf } from './binding-queries.ts';
import { type IssuerKeySource, issuerViolations, keySourceViolations, type NewTrustedIssuer, type TrustedIssuer } from './trusted-issuer.ts'; // prettier-ignore
import {
  deleteTrustedIssuerRow,
  insertTrustedIssuer,
  type IssuerRef,
  listTrustedIssuerRows,
  lockTrustedIssuer,
  updateTrustedIssuerRow,
} from './trusted-issuer-queries.ts';

export interface IssuerDependencies {
  readonly database: Database;
  /** The trust bundle of this process, which then refuses the tokens at once; null in a command. */
  readonly trust: Pick<TrustBundle, 'revoke'> | null;
}

/**
 * Trusts an issuer. Its tokens give nothing until an identity is bound.
 *
 * @param ownIssuer POSTERN_ISSUER
 * @throws Rejected `field-invalid`, `issuer-taken`, `store-unavailable`
 */
export async function createTrustedIssuer(
  { database }: Pick<IssuerDependencies, 'database'>,
  input: { readonly issuer: NewTrustedIssuer; readonly ownIssuer: string; readonly actor: AuditActor },
  call: OperationCall,
): Promise<TrustedIssuer> {
  const violations = issuerViolations(input.issuer, input.ownIssuer);
  if (violations.length > 0) throw new Rejected({ kind: 'field-invalid', violations });
  const id = uuidV7(Date.now(), randomBytes(16));
  return database.transaction(call, async (trx) => {
    const issuer = await insertTrustedIssuer(trx, { ...input.issuer, id });
    const { issuer: name, kind, audience, algorithms, maxAgeSeconds, acceptOnce } = issuer;
    const details = { issuer: name, kind, audience, algorithms, max_age: maxAgeSeconds, accept_once: acceptOnce, ...describeSource(issuer.keys) }; // prettier-ignore
    await audit(trx, input.actor, call, { action: 'issuer.create', id, details });
    return issuer;
  });
}

/** Returns one page of issuers in the order of their creation. @throws Rejected `store-unavailable` */
export function listTrustedIssuers(
  { database }: Pick<IssuerDependencies, 'database'>,
  page: { readonly afterId: string | null; readonly limit: number },
  call: CallBudget,
): Promise<TrustedIssuer[]> {
  return database.run(call, (db) => listTrustedIssuerRows(db, page));
}

/**
 * Changes where the keys of an issuer come from, or disables or enables it. Disabling revokes every token that was issued for
 * its tokens, in the same transaction: the lock waits for tokens that are being issued, and keeps further ones from it.
 *
 * @throws Rejected `field-invalid`, `not-found`, `store-unavailable`
 */
export async function updateTrustedIssuer(
  { database, trust }: IssuerDependencies,
  change: {
    readonly issuer: IssuerRef;
    readonly keys: IssuerKeySource | null;
    readonly disabled: boolean | null;
    readonly actor: AuditActor;
  },
  call: OperationCall,
): Promise<{ readonly issuer: TrustedIssuer; readonly revokedTokens: number }> {
  const { keys, disabled, actor } = change;
  const { issuer, revocations } = await database.transaction(call, async (trx) => {
    const locked = await requireIssuer(trx, change.issuer);
    const violations = keys === null ? [] : keySourceViolations(keys, locked.issuer);
    if (violations.length > 0) throw new Rejected({ kind: 'field-invalid', violations });
    if (keys === null && disabled === null) return { issuer: locked, revocations: [] };
    const updated = await updateTrustedIssuerRow(trx, locked.id, { keys, disabled });
    const revoked =
      disabled === true ? await revokeTokensOfBindings(trx, await lockBindingsOf(trx, locked.id)) : [];
    const details = {
      issuer: locked.issuer,
      ...(keys && describeSource(keys)),
      ...(disabled !== null && { disabled: [locked.disabled, disabled], tokens: revoked.length }),
    };
    await audit(trx, actor, call, { action: 'issuer.update', id: locked.id, details });
    return { issuer: updated, revocations: revoked };
  });
  trust?.revoke(revocations);
  return { issuer, revokedTokens: revocations.length };
}

/**
 * Deletes an issuer with its bindings, and revokes every token that was issued for its tokens.
 *
 * @throws Rejected `not-found`, `store-unavailable`
 */
export async function deleteTrustedIssuer(
  { database, trust }: IssuerDependencies,
  { issuer: ref, actor }: { readonly issuer: IssuerRef; readonly actor: AuditActor },
  call: OperationCall,
): Promise<{ readonly issuer: TrustedIssuer; readonly revokedTokens: number }> {
  const { issuer, revocations } = await database.transaction(call, async (trx) => {
    const locked = await requireIssuer(trx, ref);
    const bindings = await lockBindingsOf(trx, locked.id);
    const revoked = await revokeTokensOfBindings(trx, bindings);
    await deleteTrustedIssuerRow(trx, locked.id);
    const details = { issuer: locked.issuer, bindings: bindings.length, tokens: revoked.length };
    await audit(trx, actor, call, { action: 'issuer.delete', id: locked.id, details });
    return { issuer: locked, revocations: revoked };
  });
  trust?.revoke(revocations);
  return { issuer, revokedTokens: revocations.length };
}

async function requireIssuer(trx: Transaction, ref: IssuerRef): Promise<TrustedIssuer> {
  const issuer = await lockTrustedIssuer(trx, ref);
  if (issuer === null) throw new Rejected({ kind: 'not-found', resource: 'trusted issuer' });
  return issuer;
}

function describeSource({ from, jwksUrl }: IssuerKeySource): object {
  return { keys_from: from, ...(jwksUrl !== '' && { jwks_url: jwksUrl }) };
}

async function audit(
  trx: Transaction,
  actor: AuditActor,
  call: OperationCall,
  {
    id,
    ...event
  }: Pick<AuditEvent, 'action'> & { readonly id: string; readonly details: Record<string, unknown> },
): Promise<void> {
  const target = { type: 'issuer', id } as const;
  await insertAuditEvent(trx, { event: { ...event, outcome: 'ok', actor, target }, origin: call.origin });
}
