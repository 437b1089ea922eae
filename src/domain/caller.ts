import type { VerifiedClaims } from './claims.ts';

/**
 * Who may call a method. `public`: everybody. `user`: a person, by access token. `service`: a service account, by access
 * token. `admin`: a person or a service account that has the role `admin` at this moment. For the last two also a client
 * certificate whose name the settings list.
 */
export type AccessClass = 'public' | 'user' | 'service' | 'admin';

/** The role that administers. */
export const ADMIN_ROLE = 'admin';

/** Whoever was let in to a method that is not public. */
export interface Caller {
  readonly type: 'user' | 'service' | 'certificate';
  /** A user's or a service account's id; a name of the certificate (`client-identity.ts`). */
  readonly id: string;
  /** Null for all but a user. */
  readonly sessionId: string | null;
  /** From the token; for `admin` methods as they are now in the database (A03), or `admin` for a listed certificate. */
  readonly roles: readonly string[];
  /** What the token says; null for who was let in by something else. */
  readonly claims: VerifiedClaims | null;
}
