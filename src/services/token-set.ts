import type { TokenSet } from '../generated/postern/v1/auth.ts';
import type { IssuedTokens } from '../features/sessions/access-token-issuer.ts';

export function tokenSet(tokens: IssuedTokens): TokenSet {
  return {
    accessToken: tokens.accessToken,
    tokenType: 'bearer',
    expiresIn: tokens.expiresInSeconds,
    refreshToken: tokens.refreshToken,
    refreshExpiresIn: tokens.refreshExpiresInSeconds,
    sessionId: tokens.sessionId,
    userId: tokens.userId,
  };
}
