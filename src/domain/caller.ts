import type { VerifiedClaims } from './claims/claims.ts';

/**
 * Who may call a method. `public`: everybody. `user`: a user, by access token. `service`: a service account, by access
 * token. `admin`: a user or service account that has the role `admin` in the database now. `service` and `admin` also
 * accept a client certificate whose name the settings list.
 */
export type AccessClass = 'public' | 'user' | 'service' | 'admin';

/** The role of administrators. */
export const ADMIN_ROLE = 'admin';

/** The authenticated caller of a method that is not public. */
export interface Caller {
  readonly type: 'user' | 'service' | 'certificate';
  /** The id of the user or service account, or a name in the certificate (`net/certificate-identity.ts`). */
  readonly id: string;
  /** Null unless the caller is a user. */
  readonly sessionId: string | null;
  /** From the token. For `admin` methods: read from the database (A03), or `admin` for a listed certificate. */
  readonly roles: readonly string[];
  /** The claims of the token; null for a caller with a certificate. */
  readonly claims: VerifiedClaims | null;
}
