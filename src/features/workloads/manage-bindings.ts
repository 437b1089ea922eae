import { randomBytes } from 'node:crypto';

import type { AuditActor, AuditEvent } from '../../domain/audit-event.ts';
import type { CallBudget, OperationCall } from '../../domain/operation-call.ts';
import { Rejected } from '../../domain/rejection.ts';
import { userRoles } from '../../domain/roles.ts';
import { uuidV7 } from '../../domain/uuid.ts';
import type { Database } from '../../database/database.ts';
import { insertAuditEvent } from '../audit/audit-queries.ts';
import { lockServiceAccount, type ServiceRef } from '../service-accounts/service-account-queries.ts';
import { revokeTokensOfBindings } from '../token-exchange/derived-token-queries.ts';
import {
  countBindings,
  deleteBindingRow,
  insertBinding,
  listBindingRows,
  type WorkloadBinding,
} from './binding-queries.ts';
import { bindingViolations, type BoundClaims } from './binding-rules.ts';
import type { IssuerDependencies } from './manage-issuers.ts';
import { holdTrustedIssuer, type IssuerRef } from './trusted-issuer-queries.ts';

/** All of them are compared for a token without `sub` among their claims, on the path of an exchange. */
const MAX_BINDINGS = 1_000;

/**
 * Binds an identity to a service account.
 *
 * @param input.issuer null for a client certificate
 * @param input.roles empty for all roles of the account
 * @throws Rejected `field-invalid`, `not-found`, `store-unavailable`
 */
export async function createBinding(
  { database }: { readonly database: Database },
  input: {
    readonly issuer: IssuerRef | null;
    readonly account: ServiceRef;
    readonly claims: BoundClaims;
    readonly roles: readonly string[];
    readonly actor: AuditActor;
  },
  call: OperationCall,
): Promise<WorkloadBinding> {
  const { claims, actor } = input;
  const roles = input.roles.length === 0 ? null : [...new Set(input.roles)].sort();
  const id = uuidV7(Date.now(), randomBytes(16));
  return database.transaction(call, async (trx) => {
    const issuer = input.issuer && (await holdTrustedIssuer(trx, input.issuer));
    if (input.issuer !== null && issuer === null)
      throw new Rejected({ kind: 'not-found', resource: 'trusted issuer' });
    const violations = [...bindingViolations(issuer, claims), ...userRoles(roles ?? [], 'roles')];
    if (violations.length > 0) throw new Rejected({ kind: 'field-invalid', violations });
    const account = await lockServiceAccount(trx, input.account);
    if (account === null) throw new Rejected({ kind: 'not-found', resource: 'service account' });
    const issuerId = issuer?.id ?? null;
    if ((await countBindings(trx, issuerId)) >= MAX_BINDINGS) throw tooManyBindings();
    const binding = await insertBinding(trx, { id, issuerId, accountId: account.id, claims, roles });
    const event: AuditEvent = {
      action: 'binding.create',
      outcome: 'ok',
      actor,
      target: { type: 'binding', id },
      details: { issuer: issuerId, service: account.id, claims, roles },
    };
    await insertAuditEvent(trx, { event, origin: call.origin });
    return binding;
  });
}

function tooManyBindings(): Rejected {
  const description = `the issuer has ${MAX_BINDINGS} bindings already; delete one that is no longer used`;
  return new Rejected({ kind: 'field-invalid', violations: [{ field: 'claims', description }] });
}

/** Returns one page of bindings in the order of their creation. @throws Rejected `store-unavailable` */
export function listBindings(
  { database }: { readonly database: Database },
  filter: { readonly issuerId: string | null; readonly accountId: string | null },
  page: { readonly afterId: string | null; readonly limit: number },
  call: CallBudget,
): Promise<WorkloadBinding[]> {
  return database.run(call, (db) => listBindingRows(db, filter, page));
}

/**
 * Deletes a binding, and revokes every token that was issued by it. The deletion waits for tokens that are being issued, and
 * keeps further ones from it, so that every token is found.
 *
 * @throws Rejected `not-found`, `store-unavailable`
 */
export async function deleteBinding(
  { database, trust }: IssuerDependencies,
  { id, actor }: { readonly id: string; readonly actor: AuditActor },
  call: OperationCall,
): Promise<{ readonly revokedTokens: number }> {
  const revocations = await database.transaction(call, async (trx) => {
    const binding = await deleteBindingRow(trx, id);
    if (binding === null) throw new Rejected({ kind: 'not-found', resource: 'binding' });
    const revoked = await revokeTokensOfBindings(trx, [id]);
    const { issuerId, accountId, claims } = binding;
    const event: AuditEvent = {
      action: 'binding.delete',
      outcome: 'ok',
      actor,
      target: { type: 'binding', id },
      details: { issuer: issuerId, service: accountId, claims, tokens: revoked.length },
    };
    await insertAuditEvent(trx, { event, origin: call.origin });
    return revoked;
  });
  trust?.revoke(revocations);
  return { revokedTokens: revocations.length };
}
