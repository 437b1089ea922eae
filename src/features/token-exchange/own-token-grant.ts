import type { VerifiedClaims } from '../../domain/claims/claims.ts';
import { actorsOf } from '../../domain/claims/actor.ts';
import { Rejected } from '../../domain/rejection.ts';
import { isUuid } from '../../domain/validation.ts';
import type { Database } from '../../database/database.ts';
import { readBearerToken } from '../../tokens/bearer-token.ts';
import type { AccessTokenIssuer } from '../sessions/access-token-issuer.ts';
import type { ExchangeRequest } from './exchange-grant.ts';
import type { ExchangeCall, GrantResolver } from './exchange-token.ts';
import { decideOwnExchange, type OwnTokenExchange } from './own-token-decision.ts';
import { type ExchangedTokens, readTokenStanding } from './own-token-queries.ts';

export interface OwnTokenDependencies {
  readonly database: Database;
  readonly issuer: Pick<AccessTokenIssuer, 'audienceFor'>;
  /** The operation of VerifyToken. @throws Rejected */
  readonly verifyToken: (token: string) => VerifiedClaims | Promise<VerifiedClaims>;
  /** The audience that a token must have to be accepted by Postern's own methods. */
  readonly apiAudience: string;
  /** Unix time, ms. */
  readonly nowMs: () => number;
}

/** The resolver for access tokens of Postern: a narrower token, or one with which a service acts for the subject. */
export function ownTokenGrant(dependencies: OwnTokenDependencies): GrantResolver {
  const { database, issuer, verifyToken, apiAudience, nowMs } = dependencies;
  return async (request, call) => {
    const actorToken = actorTokenOf(request, call);
    const subject = await verifyToken(request.subjectToken);
    const bearer = actorToken === null ? null : await verifyToken(actorToken);
    // Interceptors of clients add the caller's own token to every call. It says that nobody acts for somebody else.
    const isOwnBearer = request.actorToken === '' && bearer?.subject === subject.subject;
    const exchange: OwnTokenExchange = {
      subject,
      actor: isOwnBearer ? null : bearer,
      audience: request.audience === '' ? '' : issuer.audienceFor(request.audience),
      apiAudience,
      nowSeconds: Math.floor(nowMs() / 1000),
    };
    const tokens = tokensOf(exchange);
    const standing = await database.run(call, (db) => readTokenStanding(db, tokens));
    return {
      ...decideOwnExchange(exchange, standing),
      // Once more under the locks: the actor's audiences may have changed, and the tokens been revoked meanwhile.
      confirm: async (trx) => {
        decideOwnExchange(exchange, await readTokenStanding(trx, tokens));
      },
    };
  };
}

/**
 * The token of the actor: from the field or from the metadata. A bearer that is the subject's token itself is not one.
 *
 * @throws Rejected `field-invalid` for both, `token-refused` and `credentials-missing` for metadata that cannot be read:
 *   ignoring it could lose who acts
 */
function actorTokenOf({ subjectToken, actorToken }: ExchangeRequest, call: ExchangeCall): string | null {
  const bearer = readBearerToken(call.authorization);
  if (call.authorization.length === 0) return actorToken === '' ? null : actorToken;
  if (actorToken !== '')
    throw new Rejected({
      kind: 'field-invalid',
      violations: [
        {
          field: 'actor_token',
          description: 'must be empty when the authorization metadata has a token; send one of the two',
        },
      ],
    });
  if (bearer.kind === 'missing') throw new Rejected({ kind: 'credentials-missing', accepts: 'token' });
  if (bearer.kind === 'token') return bearer.token === subjectToken ? null : bearer.token;
  throw new Rejected({
    kind: 'token-refused',
    refusal: { reason: 'TOKEN_MALFORMED', detail: bearer.detail },
  });
}

function tokensOf({ subject, actor }: OwnTokenExchange): ExchangedTokens {
  const all = [subject, ...(actor === null ? [] : [actor])];
  const accountIds = [
    ...all.filter(({ subjectType }) => subjectType === 'service').map((claims) => claims.subject),
    ...actorsOf(subject.actor).map((earlier) => earlier.subject),
  ];
  return {
    accountIds: [...new Set(accountIds)].filter(isUuid),
    tokenIds: all.flatMap(({ tokenId }) => tokenId ?? []),
    sessionIds: all.flatMap(({ sessionId }) => sessionId ?? []),
  };
}
