import type { RefreshRefusalReason } from '../domain/rejection.ts';

/** What the caller learns of a refused refresh token. */
export const refreshMessages: Readonly<Record<RefreshRefusalReason, string>> = {
  REFRESH_TOKEN_INVALID: 'this is not a refresh token of this service; log in again',
  REFRESH_TOKEN_EXPIRED: 'the session has expired; log in again',
  REFRESH_TOKEN_REUSED: 'the refresh token was used before, so the session has ended; log in again',
  REFRESH_TOKEN_REVOKED: 'the session has ended; log in again',
};
