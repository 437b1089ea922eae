import { type Actor, actorsOf, MAX_ACTORS } from '../../domain/claims/actor.ts';
import { authenticationOf } from '../../domain/claims/authentication.ts';
import type { VerifiedClaims } from '../../domain/claims/claims.ts';
import { DERIVED_CLIENT_ID, isDerived, SESSION_CLIENT_ID } from '../../domain/claims/derived-token.ts';
import { Rejected, type RefusedSubject } from '../../domain/rejection.ts';
import { isUuid } from '../../domain/validation.ts';
import { refusals } from '../../tokens/verify/token-refusals.ts';
import type { TokenDependencies } from './derived-token-queries.ts';
import type { ExchangeGrant } from './exchange-grant.ts';
import type { ExchangingAccount, TokenStanding } from './own-token-queries.ts';

/** A token with an actor is valid for at most this time: the actor gets a new one for the next call of the subject. */
export const MAX_DELEGATED_SECONDS = 300;

/** The tokens of an exchange, verified, with what is asked for. */
export interface OwnTokenExchange {
  readonly subject: VerifiedClaims;
  /** The token of the service that acts for the subject; null for none. */
  readonly actor: VerifiedClaims | null;
  /** The audience of the new token; empty for that of the subject's token. */
  readonly audience: string;
  /** Postern's own audience. */
  readonly apiAudience: string;
  /** Unix time. */
  readonly nowSeconds: number;
}

/**
 * Decides what an access token of Postern may be exchanged for. A narrower token must stay narrower, whoever holds it:
 * roles, actors and session come from the token and never from its account or user anew.
 *
 * @throws Rejected `exchange-not-allowed`, `token-refused`
 */
export function decideOwnExchange(exchange: OwnTokenExchange, standing: TokenStanding): ExchangeGrant {
  const { subject, actor: actorToken, nowSeconds } = exchange;
  const inherited = dependenciesOf(exchange, standing);
  const audience = exchange.audience === '' ? (subject.audience[0] ?? '') : exchange.audience;
  const account = actorToken === null ? null : actingAccount(exchange, actorToken, standing, audience);
  if (account === null) {
    requireOwnAudience(exchange, standing.accounts, audience);
    requireAudienceOfKey(exchange, inherited, audience);
  }
  const actor: Actor | null =
    account === null ? subject.actor : { subject: account.id, name: account.name, actor: subject.actor };
  return {
    subject: {
      type: subject.subjectType,
      id: subject.subject,
      name: subject.subjectName,
      sessionId: subject.sessionId,
      externalId: subject.externalId,
      authentication: authenticationOf(subject),
    },
    clientId: actor === null ? DERIVED_CLIENT_ID : actor.subject,
    actor,
    roles: subject.roles,
    audience,
    expiresAtSeconds:
      account === null
        ? subject.expiresAtSeconds
        : Math.min(subject.expiresAtSeconds, nowSeconds + MAX_DELEGATED_SECONDS),
    // A service that the subject's token came to uses up its own share only, not that of others.
    countedBy: JSON.stringify([subject.sessionId ?? subject.subject, subject.audience, account?.id ?? null]),
    dependsOn:
      account === null
        ? inherited
        : {
            ...inherited,
            actorIds: [account.id, ...inherited.actorIds],
            // Of a user's token, what the actor proved its identity with must hold instead.
            bindingId: inherited.bindingId ?? bindingOf(actorToken, standing),
          },
    usesUp: null,
    details: {
      subject_token: subject.tokenId,
      ...(subject.sessionId !== null && { session: subject.sessionId }),
    },
  };
}

function bindingOf(token: VerifiedClaims | null, { recorded }: TokenStanding): string | null {
  return recorded.get(token?.tokenId ?? '')?.bindingId ?? null;
}

/**
 * What the subject's token depends on, which the new one depends on as well.
 *
 * @throws Rejected `token-refused` for a token that can be revoked by nothing that the database knows, and for one that
 *   was revoked at another instance a moment ago
 */
function dependenciesOf(
  { subject, actor }: OwnTokenExchange,
  { recorded, isRevoked }: TokenStanding,
): TokenDependencies {
  const { tokenId, subjectType, sessionId, clientId, issuer } = subject;
  // Tokens of another login system and of programs with a shared secret may lack these.
  const hasNoSession = subjectType === 'user' && sessionId === null;
  if (tokenId === null || clientId === null || issuer === null || hasNoSession)
    throw refused(partiesOf(subject, actor), {
      reason: 'TOKEN_CLAIMS_INVALID',
      detail:
        'a token without jti, client_id or iss, or of a user without sid, cannot be exchanged; get one of Postern',
    });
  const hasSession = subjectType === 'user' && clientId === SESSION_CLIENT_ID && !isDerived(subject);
  const dependsOn = hasSession
    ? { accountId: null, actorIds: [], bindingId: null, serviceKeyId: null, apiKeyId: null }
    : recorded.get(tokenId);
  if (isRevoked || dependsOn === undefined) throw refused(partiesOf(subject, actor), refusals.revoked);
  return dependsOn;
}

/**
 * Checks that the service may act for the subject: only with a token that came to it, and only towards audiences that
 * an administrator allowed it.
 *
 * @throws Rejected `exchange-not-allowed`
 */
function actingAccount(
  { subject, apiAudience }: OwnTokenExchange,
  actor: VerifiedClaims,
  { accounts, recorded }: TokenStanding,
  audience: string,
): ExchangingAccount {
  const notAllowed = (detail: string) =>
    new Rejected({ kind: 'exchange-not-allowed', detail, subject: partiesOf(subject, actor) });
  if (actor.subjectType !== 'service' || !isUuid(actor.subject) || isDerived(actor))
    throw notAllowed(
      'only a service account can act for somebody; send the token that its secret, key or identity gave it',
    );
  if (!actor.audience.includes(apiAudience))
    throw notAllowed(
      `the token of the actor must be for the audience '${apiAudience}'; get one with that audience`,
    );
  if (actor.subject === subject.subject || actor.subject === subject.actor?.subject)
    throw notAllowed('the actor is the subject, or acts for it already; exchange without an actor token');
  if (actorsOf(subject.actor).length >= MAX_ACTORS)
    throw notAllowed(
      `the token has ${MAX_ACTORS} actors, which is the maximum; shorten the chain of services`,
    );
  const account = accounts.get(actor.subject);
  const isRecorded = actor.tokenId !== null && recorded.has(actor.tokenId);
  if (!account || !isRecorded) throw refused(partiesOf(subject, actor), refusals.revoked);
  if (!subject.audience.some((name) => account.ownAudiences.includes(name)))
    throw notAllowed(
      'the token was not for an audience that the actor serves; an administrator adds it to its own audiences',
    );
  if (!account.delegationAudiences.includes(audience))
    throw notAllowed(
      'the actor may not act for others towards this audience; an administrator adds it to its delegation audiences',
    );
  return account;
}

/**
 * Without an actor only a token for Postern itself may become one for another audience. Otherwise each service that
 * receives a token could go on with it to any other. One with an actor stays where an administrator let the actor act.
 *
 * @throws Rejected `exchange-not-allowed`
 */
function requireOwnAudience(
  { subject, apiAudience }: OwnTokenExchange,
  accounts: TokenStanding['accounts'],
  audience: string,
): void {
  const notAllowed = (detail: string) =>
    new Rejected({ kind: 'exchange-not-allowed', detail, subject: partiesOf(subject, null) });
  const keepsAudience = subject.audience.includes(audience);
  if (!keepsAudience && (subject.actor !== null || !subject.audience.includes(apiAudience)))
    throw notAllowed(
      `only a token for the audience '${apiAudience}' that no service acts in can get another audience; exchange that one, or leave audience empty`,
    );
  if (subject.subjectType !== 'service' || subject.actor !== null) return;
  const allowed = accounts.get(subject.subject)?.allowedAudiences ?? null;
  if (allowed !== null && !allowed.includes(audience))
    throw notAllowed(
      'the account may not ask for this audience; an administrator adds it to its allowed audiences',
    );
}

/**
 * An API key is for one audience, and so is everything that it is exchanged for.
 *
 * @throws Rejected `exchange-not-allowed`
 */
function requireAudienceOfKey(
  { subject }: OwnTokenExchange,
  { apiKeyId }: TokenDependencies,
  audience: string,
): void {
  if (apiKeyId === null || subject.audience.includes(audience)) return;
  throw new Rejected({
    kind: 'exchange-not-allowed',
    detail: 'a token of an API key keeps the audience of the key; use a key for this audience',
    subject: partiesOf(subject, null),
  });
}

function partiesOf(subject: VerifiedClaims, actor: VerifiedClaims | null): RefusedSubject {
  const { subjectType: type, subject: id } = subject;
  const acting = actor ?? subject;
  return {
    actor: { type: acting.subjectType, id: acting.subject },
    target: { type, id },
  };
}

function refused(
  subject: RefusedSubject,
  refusal: Extract<Rejected['rejection'], { kind: 'token-refused' }>['refusal'],
): Rejected {
  return new Rejected({ kind: 'token-refused', refusal, subject });
}
