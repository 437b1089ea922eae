import { createHash } from 'node:crypto';

import type { CallBudget } from '../../domain/operation-call.ts';
import { Rejected, type TokenRefusal } from '../../domain/rejection.ts';
import type { Database } from '../../database/database.ts';
import type { JsonObject } from '../../tokens/verify/strict-json.ts';
import {
  acceptedAlgorithm,
  outsideClaimFault,
  outsideRefusals,
  outsideSignatureMatches,
  readOutsideToken,
  selectOutsideKey,
  trustDomainOf,
  type UnverifiedOutsideToken,
} from '../../tokens/verify/outside-token.ts';
import { refusals } from '../../tokens/verify/token-refusals.ts';
import type { IssuerKeys } from './issuer-keys.ts';
import type { TrustedIssuer } from './trusted-issuer.ts';
import { findTrustedIssuer } from './trusted-issuer-queries.ts';

export interface OutsideTokenDependencies {
  readonly database: Database;
  readonly issuerKeys: IssuerKeys;
  /** Unix time, ms. */
  readonly nowMs: () => number;
}

/** A token of a trusted issuer that is valid now. */
export interface OutsideIdentity {
  readonly issuer: TrustedIssuer;
  readonly claims: JsonObject;
  readonly subject: string;
  /** Identifies the token: SHA-256 of what its signature covers, since an ECDSA signature has a twin. */
  readonly digest: Buffer;
  readonly expiresAtSeconds: number;
}

/** The steps, in their order; `explain-exchange` names them. */
export type CheckStep = 'format' | 'issuer' | 'algorithm' | 'key' | 'signature' | 'claims';

/**
 * Verifies a token of another issuer. Junk ends before the database is queried, a token of an unknown issuer before a key
 * is looked for, and a forged one before its claims are judged.
 *
 * @param onStep called as each step begins
 * @throws Rejected `token-refused`, `issuer-not-trusted`, `issuer-keys-unavailable`, `store-unavailable`
 */
export async function checkOutsideToken(
  { database, issuerKeys, nowMs }: OutsideTokenDependencies,
  text: string,
  call: CallBudget,
  onStep: (step: CheckStep, issuer: TrustedIssuer | null) => void = () => undefined,
): Promise<OutsideIdentity> {
  onStep('format', null);
  const token = readOutsideToken(text);
  if (!token.ok) throw refused(token.refusal, null);
  onStep('issuer', null);
  const names = issuerNamesOf(token);
  const issuer = names.length === 0 ? null : await database.run(call, (db) => findTrustedIssuer(db, names));
  if (issuer === null) throw new Rejected({ kind: 'issuer-not-trusted' });
  onStep('algorithm', issuer);
  const algorithm = acceptedAlgorithm(token, issuer);
  if (algorithm === null) throw refused(outsideRefusals.algNotAllowed, issuer);
  onStep('key', issuer);
  const key = await issuerKeys.find(issuer, (keys) => selectOutsideKey(keys, token, algorithm));
  if (key === null) throw refused(outsideRefusals.keyUnknown, issuer);
  onStep('signature', issuer);
  if (!(await outsideSignatureMatches(token, key, algorithm)))
    throw refused(refusals.signatureInvalid, issuer);
  onStep('claims', issuer);
  const isSpiffe = issuer.kind === 'spiffe';
  const rules = { ...issuer, isSpiffe, trustDomain: isSpiffe ? issuer.issuer : null };
  const fault = outsideClaimFault(token.claims, rules, nowMs() / 1000);
  if (fault !== null) throw refused(fault, issuer);
  const { sub, exp } = token.claims;
  return {
    issuer,
    claims: token.claims,
    // The check of the claims has found a text.
    subject: typeof sub === 'string' ? sub : '',
    digest: createHash('sha256').update(`${issuer.id} ${token.signed}`).digest(),
    expiresAtSeconds: Math.ceil(Number(exp)),
  };
}

const MAX_NAME_LENGTH = 256;

/** What the issuer may be called: `iss`, or for a JWT-SVID, which may lack it or name the server, the trust domain of `sub`. */
function issuerNamesOf({ claims: { iss, sub } }: UnverifiedOutsideToken): string[] {
  // A token whose iss is no text names nobody. NUL cannot be sent to PostgreSQL.
  if (iss !== undefined && typeof iss !== 'string') return [];
  return [iss, trustDomainOf(sub)].filter(
    (name): name is string =>
      typeof name === 'string' && name.length <= MAX_NAME_LENGTH && !/[\p{Cc}\p{Cs}]/u.test(name),
  );
}

function refused(refusal: TokenRefusal, issuer: TrustedIssuer | null): Rejected {
  if (issuer === null) return new Rejected({ kind: 'token-refused', refusal });
  const target = { type: 'issuer', id: issuer.id } as const;
  return new Rejected({ kind: 'token-refused', refusal, subject: { target } });
}
