import { status } from '@grpc/grpc-js';

import { API_KEY_INVALID, looksLikeApiKey } from '../domain/claims/api-key.ts';
import type { VerifiedClaims } from '../domain/claims/claims.ts';
import { Rejected } from '../domain/rejection.ts';
import { forwardedIp } from '../net/forwarded-ip.ts';
import { callerAddress } from '../net/peer-address.ts';
import type { ApiKeyResolver } from '../trust/api-key-resolver.ts';
import type { Requirements, VerifyOptions } from './access-rules.ts';
import { PosternError } from './postern-error.ts';

/**
 * Verifies an API key, apart from the roles.
 *
 * @throws PosternError UNAUTHENTICATED API_KEY_INVALID or TOKEN_CLAIMS_INVALID, UNAVAILABLE TRUST_STALE or SERVER_OVERLOADED
 */
export function verifyApiKey(
  resolver: Pick<ApiKeyResolver, 'verify'>,
  key: string,
  { audience, clientAddress }: VerifyOptions,
): VerifiedClaims | Promise<VerifiedClaims> {
  const ip = typeof clientAddress === 'string' ? forwardedIp(clientAddress) : null;
  const address = ip === null ? null : callerAddress(ip);
  try {
    const claims = resolver.verify({ key, address, requiredAudience: audience });
    if (!(claims instanceof Promise)) return claims;
    return claims.catch((error: unknown) => {
      throw posternErrorOf(error);
    });
  } catch (error) {
    throw posternErrorOf(error);
  }
}

/** With a JWKS URL there is nobody to ask about a key. */
export function refuseApiKey(): never {
  const message =
    'this verifier has only a key set (jwksUrl) and cannot verify API keys; exchange the key for an access token, or verify with an upstream';
  throw new PosternError(message, { code: status.UNAUTHENTICATED, reason: 'API_KEY_INVALID' });
}

/** The requirements of a call, with the address of its caller where that counts: for an API key. */
export function optionsFor(
  token: string,
  requirements: Requirements,
  clientAddress: () => string | null | undefined,
): VerifyOptions {
  return looksLikeApiKey(token) ? { ...requirements, clientAddress: clientAddress() } : requirements;
}

function posternErrorOf(error: unknown): unknown {
  if (!(error instanceof Rejected)) return error;
  const { rejection, cause } = error;
  if (rejection.kind === 'api-key-invalid')
    return new PosternError(API_KEY_INVALID, { code: status.UNAUTHENTICATED, reason: 'API_KEY_INVALID' });
  if (rejection.kind === 'token-refused') {
    const { reason, detail } = rejection.refusal;
    return new PosternError(detail, { code: status.UNAUTHENTICATED, reason });
  }
  if (rejection.kind === 'trust-stale') {
    const facts = { reason: 'TRUST_STALE', retryDelayMs: rejection.retryAfterMs } as const;
    const message = 'the API key cannot be verified now, because Postern did not answer; retry later';
    return new PosternError(message, { code: status.UNAVAILABLE, ...facts }, { cause });
  }
  if (rejection.kind === 'server-overloaded') {
    const facts = { reason: 'SERVER_OVERLOADED', retryDelayMs: rejection.retryAfterMs } as const;
    const message = 'too many API keys are being verified; retry later';
    return new PosternError(message, { code: status.UNAVAILABLE, ...facts });
  }
  return error;
}
