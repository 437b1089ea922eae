import { randomBytes } from 'node:crypto';

import type { AuditEvent } from '../../domain/audit-event.ts';
import { actorsOf } from '../../domain/claims/actor.ts';
import { looksLikeApiKey } from '../../domain/claims/api-key.ts';
import type { KeyedLimiter } from '../../domain/concurrency/keyed-limiter.ts';
import { type KeyedRate, type KeyedRateLimiter } from '../../domain/concurrency/token-bucket.ts';
import { type OperationCall, withoutCancellation } from '../../domain/operation-call.ts';
import { Rejected } from '../../domain/rejection.ts';
import { roleName } from '../../domain/roles.ts';
import {
  each,
  type FieldRules,
  ifDefined,
  optional,
  requireValid,
  text,
  unrestricted,
  wholeNumber,
} from '../../domain/validation.ts';
import type { Database } from '../../database/database.ts';
import { sourceOf } from '../../net/cidr.ts';
import { createTokenId } from '../../tokens/issue/sign-access-token.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import { insertAuditEvent } from '../audit/audit-queries.ts';
import { MAX_LIVE_TOKENS } from '../service-accounts/issue-service-token.ts';
import { revokeOldestServiceTokens } from '../service-accounts/service-token-queries.ts';
import type { AccessTokenIssuer } from '../sessions/access-token-issuer.ts';
import { useOnce } from '../used-once/used-once-queries.ts';
import { recordDerivedToken } from './derived-token-queries.ts';
import type { ExchangeGrant, ExchangeRequest } from './exchange-grant.ts';

/** Turns a proof of identity into what may be issued for it. @throws Rejected */
export type GrantResolver = (
  request: ExchangeRequest,
  call: ExchangeCall,
) => ExchangeGrant | Promise<ExchangeGrant>;

/** The call, with what the connection and the metadata prove beside the request. */
export interface ExchangeCall extends OperationCall {
  /** The raw `authorization` metadata. */
  readonly authorization: readonly string[];
  /** The names of the verified client certificate; null without one. */
  readonly clientNames: readonly string[] | null;
}

export interface ExchangeDependencies {
  readonly database: Database;
  readonly issuer: AccessTokenIssuer;
  readonly trust: Pick<TrustBundle, 'revoke'>;
  /** Unix time, ms. */
  readonly nowMs: () => number;
  /** By kind of proof and source: everybody may call, and a call costs queries, a signature and perhaps a request to an issuer. */
  readonly limiter: KeyedLimiter;
  /** By `countedBy` of the grant. */
  readonly rateLimiter: Pick<KeyedRateLimiter, 'take'>;
  /** One for each kind of proof. */
  readonly resolvers: {
    readonly certificate: GrantResolver;
    readonly apiKey: GrantResolver;
    /** For an access token of Postern. */
    readonly ownToken: GrantResolver;
    /** For a JWT of another issuer. */
    readonly outsideToken: GrantResolver;
  };
  /** POSTERN_ISSUER. */
  readonly issuerName: string;
}

export interface ExchangedToken {
  readonly accessToken: string;
  readonly expiresInSeconds: number;
  /** Null for a service account. */
  readonly sessionId: string | null;
  /** Null for a service account. */
  readonly userId: string | null;
}

/** How many exchanges of one source run at once, and wait for it. A cluster behind one address counts as one. */
export const EXCHANGE_LIMITS = { concurrency: 16, maxWaiting: 200, maxWaitMs: 3_000 };
/**
 * How often one session, or one service account, has its access token exchanged: each exchange adds a row that lives as long
 * as the token. Whoever exchanges for each of its calls can keep the token until it expires.
 */
export const EXCHANGE_RATE: KeyedRate = { burst: 300, intervalMs: 100, maxKeys: 10_000 };

export const MAX_SUBJECT_TOKEN_BYTES = 16_384;
const MAX_LIFETIME_SECONDS = 2 ** 31;

/** Tokens have no field rules: a malformed one is answered as a refused one. */
const rules: FieldRules<ExchangeRequest> = {
  subjectToken: unrestricted,
  serviceAccount: optional(text({ minBytes: 1, maxBytes: 64 })),
  audience: optional(text({ minBytes: 1, maxBytes: 256 })),
  roles: each(roleName, { maxItems: 16 }),
  actorToken: unrestricted,
  lifetime: ifDefined(wholeNumber({ min: 1, max: MAX_LIFETIME_SECONDS })),
};

/**
 * Exchanges a proof of identity for an access token.
 *
 * @throws Rejected `credentials-missing`, `token-refused`, `issuer-not-trusted`, `identity-not-bound`, `api-key-invalid`,
 *   `exchange-not-allowed`, `field-invalid`, `claims-too-long`, `trust-stale`, `store-unavailable`, `server-overloaded`
 */
export async function exchangeToken(
  dependencies: ExchangeDependencies,
  request: ExchangeRequest,
  call: ExchangeCall,
): Promise<ExchangedToken> {
  requireValid(rules, request);
  const { resolvers, issuerName, limiter } = dependencies;
  const kind = kindOf(request.subjectToken, issuerName);
  if (kind !== 'ownToken' && request.actorToken !== '') throw actorNotUsed();
  if ((kind === 'ownToken' || kind === 'apiKey') && request.serviceAccount !== '')
    throw serviceAccountNotUsed();
  return limiter.run(`${kind} ${sourceOf(call.origin.address)}`, async () => {
    const grant = await resolvers[kind](request, call);
    return issueFor(dependencies, grant, request, call);
  });
}

/** What is exchanged, by the token itself: the caller does not choose how it is checked. */
function kindOf(subjectToken: string, issuerName: string): keyof ExchangeDependencies['resolvers'] {
  if (subjectToken === '') return 'certificate';
  if (looksLikeApiKey(subjectToken)) return 'apiKey';
  return unverifiedIssuer(subjectToken) === issuerName ? 'ownToken' : 'outsideToken';
}

/** The claim `iss` before any check; undefined when it cannot be read. It only selects who checks the token. */
function unverifiedIssuer(token: string): unknown {
  if (token.length > MAX_SUBJECT_TOKEN_BYTES) return undefined;
  const payload = token.split('.', 2)[1];
  if (payload === undefined) return undefined;
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString());
    return typeof claims === 'object' && claims !== null && 'iss' in claims ? claims.iss : undefined;
  } catch {
    return undefined;
  }
}

async function issueFor(
  { database, issuer, trust, nowMs, rateLimiter }: ExchangeDependencies,
  grant: ExchangeGrant,
  request: ExchangeRequest,
  call: OperationCall,
): Promise<ExchangedToken> {
  const { subject, actor, clientId, audience, countedBy, dependsOn, usesUp, confirm } = grant;
  const roles = narrowedRoles(grant, request.roles);
  const waitMs = countedBy === null ? 0 : rateLimiter.take(countedBy);
  if (waitMs > 0) throw tooManyExchanges(waitMs);
  // One reading for `iat` and the lifetime: a second that began in between would make the token valid for longer.
  const issuedAtSeconds = Math.floor(nowMs() / 1000);
  const lifetimeSeconds = lifetimeOf(issuer.lifetimeSeconds, grant, request, issuedAtSeconds);
  const tokenId = createTokenId(randomBytes(16));
  // Before the transaction: of a token that becomes too long nothing is recorded. It is returned only after the commit.
  const { token, expiresInSeconds } = await issuer.issueDerived({
    subject: subject.id,
    sessionId: subject.sessionId,
    externalId: subject.externalId,
    subjectName: subject.name,
    actor,
    authentication: subject.authentication,
    clientId,
    roles,
    audience,
    tokenId,
    issuedAtSeconds,
    lifetimeSeconds,
  });
  const event: AuditEvent = {
    action: 'token.exchange',
    outcome: 'ok',
    actor: actor === null ? { type: subject.type, id: subject.id } : { type: 'service', id: actor.subject },
    target: { type: 'token', id: tokenId },
    details: {
      subject: subject.id,
      audience,
      roles,
      ...(actor !== null && { actors: actorsOf(actor).map(({ subject: id }) => id) }),
      ...grant.details,
    },
  };
  const { accountId } = dependsOn;
  // Not cancellable: what was recorded must be audited, and the limit of live tokens be kept.
  const uncancellable = withoutCancellation(call);
  await database.transaction(uncancellable, async (trx) => {
    if (usesUp !== null && !(await useOnce(trx, usesUp))) throw replayed(grant);
    const recorded = await recordDerivedToken(trx, { ...dependsOn, tokenId, lifetimeSeconds });
    if (recorded === 'ended') throw endedMeanwhile(grant);
    if (recorded === 'changed') throw new Rejected({ kind: 'conflict' });
    await confirm?.(trx);
    await insertAuditEvent(trx, { event, origin: call.origin });
  });
  if (accountId !== null && countedBy === null)
    trust.revoke(
      await database.run(uncancellable, (db) => revokeOldestServiceTokens(db, accountId, MAX_LIVE_TOKENS)),
    );
  return {
    accessToken: token,
    expiresInSeconds,
    sessionId: subject.sessionId,
    userId: subject.type === 'user' ? subject.id : null,
  };
}

/** @throws Rejected `exchange-not-allowed` for a role that the subject does not have */
function narrowedRoles(
  { roles: held, subject: { type, id }, actor }: ExchangeGrant,
  asked: readonly string[],
): readonly string[] {
  if (asked.length === 0) return held;
  if (!asked.every((role) => held.includes(role)))
    throw new Rejected({
      kind: 'exchange-not-allowed',
      detail: 'roles has a role that the subject does not have; ask for fewer roles, or for none to get all',
      subject: {
        actor: actor === null ? { type, id } : { type: 'service', id: actor.subject },
        target: { type, id },
      },
    });
  return [...new Set(asked)].sort();
}

/** @throws Rejected `token-refused` when what is exchanged has expired meanwhile */
function lifetimeOf(
  standardSeconds: number,
  { expiresAtSeconds }: ExchangeGrant,
  { lifetime = Infinity }: ExchangeRequest,
  nowSeconds: number,
): number {
  const remaining = expiresAtSeconds === null ? Infinity : Math.floor(expiresAtSeconds - nowSeconds);
  if (remaining < 1)
    throw new Rejected({
      kind: 'token-refused',
      refusal: { reason: 'TOKEN_EXPIRED', detail: 'the token has expired; get a new one' },
    });
  return Math.min(standardSeconds, lifetime, remaining);
}

function tooManyExchanges(retryAfterMs: number): Rejected {
  const cause = 'too many exchanges of access tokens of one session or service account';
  return new Rejected({ kind: 'server-overloaded', cause, retryAfterMs });
}

function actorNotUsed(): Rejected {
  const description = 'must be empty: somebody can act only for the subject of an access token of Postern';
  return new Rejected({ kind: 'field-invalid', violations: [{ field: 'actor_token', description }] });
}

function serviceAccountNotUsed(): Rejected {
  const description = 'must be empty for an access token or an API key, which have their subject';
  return new Rejected({ kind: 'field-invalid', violations: [{ field: 'service_account', description }] });
}

function replayed({ subject: { type, id } }: ExchangeGrant): Rejected {
  return new Rejected({
    kind: 'token-refused',
    refusal: { reason: 'TOKEN_REPLAYED', detail: 'the token was used before; get a new one for each call' },
    subject: { target: { type, id } },
  });
}

/** What the token would depend on ended between its check and now, so it would be refused as if it had ended before. */
function endedMeanwhile({ dependsOn, subject: { type, id } }: ExchangeGrant): Rejected {
  const subject = { target: { type, id } };
  if (dependsOn.apiKeyId !== null)
    return new Rejected({ kind: 'api-key-invalid', cause: 'revoked', subject });
  if (dependsOn.bindingId !== null) return new Rejected({ kind: 'identity-not-bound', subject });
  const refusal = { reason: 'TOKEN_REVOKED', detail: 'the token is revoked; log in again' } as const;
  return new Rejected({ kind: 'token-refused', refusal, subject });
}
