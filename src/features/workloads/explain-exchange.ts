import type { AuditActor } from '../../domain/audit-event.ts';
import type { OperationCall } from '../../domain/operation-call.ts';
import { Rejected, type Rejection } from '../../domain/rejection.ts';
import { insertAuditEvent } from '../audit/audit-queries.ts';
import { findCandidates } from './binding-queries.ts';
import { mismatches } from './binding-rules.ts';
import { type CheckStep, checkOutsideToken, type OutsideTokenDependencies } from './check-outside-token.ts';
import type { TrustedIssuer } from './trusted-issuer.ts';

/** What ExchangeToken would do with a token. Contains no token and no value of a claim. */
export interface ExchangeExplanation {
  /** Null when no trusted issuer was found. */
  readonly issuer: TrustedIssuer | null;
  /** The check that refuses the token, and why; null when it passes all of them. */
  readonly refused: { readonly step: CheckStep; readonly rejection: Rejection } | null;
  /** Every binding of the issuer, with the paths of the claims that the token does not have as the binding wants. */
  readonly bindings: readonly {
    readonly id: string;
    readonly service: string;
    readonly mismatches: readonly string[];
  }[];
}

/**
 * Explains the exchange of an outside token without issuing one, and without using the token up. Only for operators: whoever
 * presents a token learns no more than its refusal.
 *
 * @throws Rejected `store-unavailable`
 */
export async function explainExchange(
  dependencies: OutsideTokenDependencies,
  { token, actor }: { readonly token: string; readonly actor: AuditActor },
  call: OperationCall,
): Promise<ExchangeExplanation> {
  const explanation = await explain(dependencies, token, call);
  const { issuer, refused, bindings } = explanation;
  const details = {
    explained: true,
    step: refused?.step ?? 'binding',
    matching: bindings.filter((binding) => binding.mismatches.length === 0).map(({ id }) => id),
  };
  const target = issuer && ({ type: 'issuer', id: issuer.id } as const);
  const event = { action: 'binding.read', outcome: 'ok', actor, target, details } as const;
  await dependencies.database.run(call, (db) => insertAuditEvent(db, { event, origin: call.origin }));
  return explanation;
}

async function explain(
  dependencies: OutsideTokenDependencies,
  token: string,
  call: OperationCall,
): Promise<ExchangeExplanation> {
  const reached: { step: CheckStep; issuer: TrustedIssuer | null } = { step: 'format', issuer: null };
  try {
    const { issuer, claims } = await checkOutsideToken(dependencies, token, call, (step, found) =>
      Object.assign(reached, { step, issuer: found }),
    );
    const candidates = await dependencies.database.run(call, (db) => findCandidates(db, issuer.id, null));
    const bindings = candidates.map(({ binding, account }) => ({
      id: binding.id,
      service: account.name,
      mismatches: mismatches(binding.claims, claims),
    }));
    return { issuer, refused: null, bindings };
  } catch (error) {
    if (!(error instanceof Rejected) || error.rejection.kind === 'store-unavailable') throw error;
    const { step, issuer } = reached;
    return { issuer, refused: { step, rejection: error.rejection }, bindings: [] };
  }
}
