import { Metadata, type ServiceError, status } from '@grpc/grpc-js';

import { withTimeout } from '../domain/concurrency/timeout.ts';
import { errorText } from '../domain/error-text.ts';
import { Rejected, RETRY_AFTER_MS } from '../domain/rejection.ts';
import type { ApiKeyGrant, TrustServiceClient } from '../generated/postern/v1/trust.ts';
import type { StreamEnd } from './watch-trust-call.ts';

/** The credential that authenticates a call of ResolveApiKey. */
export interface LookUpCredential {
  accessToken(): Promise<string>;
  /** The server refused the token: `accessToken` has to return another one. */
  forget(refused: string): void;
}

export interface ApiKeyLookUpOptions {
  readonly client: TrustServiceClient;
  readonly credential: LookUpCredential | null;
  /** Called with each failure. */
  readonly report?: (failure: StreamEnd) => void;
}

/** The limit of one look-up, with the token that it may need first. */
const LIMIT_MS = 1_000;

/**
 * Calls ResolveApiKey for an `ApiKeyResolver`: null when the service has no such key.
 *
 * @throws Rejected `trust-stale` for any other failure: the key may be valid
 */
export function apiKeyLookUp({ client, credential, report = () => undefined }: ApiKeyLookUpOptions) {
  const lookUp = async (
    keySha256: Buffer,
    deadlineMs: number,
    isRetry = false,
  ): Promise<ApiKeyGrant | null> => {
    const token = await credential?.accessToken();
    try {
      return await resolve(client, keySha256, token, deadlineMs);
    } catch (error) {
      if (token === undefined || isRetry || codeOf(error) !== status.UNAUTHENTICATED) throw error;
      // The key of the token may have been revoked, long before the token was due for renewal.
      credential?.forget(token);
      return lookUp(keySha256, deadlineMs, true);
    }
  };
  return async (keySha256: Buffer): Promise<ApiKeyGrant | null> => {
    const timedOut = { code: status.DEADLINE_EXCEEDED, details: `no answer within ${LIMIT_MS} ms` };
    try {
      return await withTimeout(lookUp(keySha256, Date.now() + LIMIT_MS), LIMIT_MS, () => {
        throw Object.assign(new Error(timedOut.details), timedOut);
      });
    } catch (error) {
      report({ code: codeOf(error), details: detailsOf(error) });
      throw new Rejected({ kind: 'trust-stale', retryAfterMs: RETRY_AFTER_MS }, { cause: error });
    }
  };
}

function resolve(
  client: TrustServiceClient,
  keySha256: Buffer,
  token: string | undefined,
  deadline: number,
): Promise<ApiKeyGrant | null> {
  const metadata = new Metadata();
  if (token !== undefined) metadata.set('authorization', `Bearer ${token}`);
  return new Promise((pass, fail) => {
    client.resolveApiKey({ keySha256 }, metadata, { deadline }, (error, grant) => {
      if (error === null) pass(grant);
      else if (error.code === status.NOT_FOUND) pass(null);
      else fail(error);
    });
  });
}

function codeOf(error: unknown): status {
  const { code } = error as Partial<ServiceError>;
  return code !== undefined && code in status ? code : status.UNKNOWN;
}

/** The details of a status: the message of an error of grpc-js begins with the code. */
function detailsOf(error: unknown): string {
  return (error as Partial<ServiceError>).details ?? errorText(error);
}
