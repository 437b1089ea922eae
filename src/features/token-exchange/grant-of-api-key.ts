import { DERIVED_CLIENT_ID } from '../../domain/claims/derived-token.ts';
import { Rejected } from '../../domain/rejection.ts';
import { type ApiKeyVerification, verifyApiKey } from '../api-keys/verify-api-key.ts';
import type { ExchangeGrant } from './exchange-grant.ts';
import type { GrantResolver } from './exchange-token.ts';

/**
 * Exchanges an API key for an access token of its owner, with the rights of the key. A token of a user's key has the key's id
 * as its session, so that revoking the key ends whatever is derived from the token; one of a service account has none.
 *
 * @throws Rejected `api-key-invalid`, `exchange-not-allowed` for another audience or with an actor, `trust-stale`, `conflict`
 */
export function grantOfApiKey(verification: ApiKeyVerification): GrantResolver {
  return async (request, call): Promise<ExchangeGrant> => {
    const { address } = call.origin;
    const key = request.subjectToken;
    const claims = await verifyApiKey(verification, { key, address, requiredAudience: undefined });
    const [audience = ''] = claims.audience;
    const notAllowed = (detail: string) => {
      const actor = { type: claims.subjectType, id: claims.subject };
      const target = { type: 'api-key', id: String(claims.tokenId) } as const;
      return new Rejected({ kind: 'exchange-not-allowed', detail, subject: { actor, target } });
    };
    if (request.audience !== '' && request.audience !== audience)
      throw notAllowed('an API key can be exchanged for its own audience only');
    if (call.authorization.length > 0)
      throw notAllowed('an API key is exchanged alone; exchange its token again to act for its owner');
    const found = verification.directory.find(key);
    if (typeof found === 'string' || found.claims !== claims) throw new Rejected({ kind: 'conflict' });
    const id = String(claims.tokenId);
    const isUser = claims.subjectType === 'user';
    return {
      subject: {
        type: claims.subjectType,
        id: claims.subject,
        name: claims.subjectName,
        sessionId: isUser ? id : null,
        externalId: claims.externalId,
        authentication: null,
      },
      clientId: isUser ? DERIVED_CLIENT_ID : claims.subject,
      actor: null,
      roles: claims.roles,
      audience,
      expiresAtSeconds: claims.expiresAtSeconds === Infinity ? null : claims.expiresAtSeconds,
      countedBy: isUser ? id : null,
      dependsOn: {
        accountId: isUser ? null : claims.subject,
        actorIds: [],
        bindingId: null,
        serviceKeyId: null,
        apiKeyId: id,
        apiKeyState: found.revocationId,
      },
      usesUp: null,
      details: { api_key: id },
    };
  };
}
