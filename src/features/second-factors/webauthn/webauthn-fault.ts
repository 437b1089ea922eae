/** Why the answer of an authenticator is refused. The caller gets the same answer for all of them; the log has the cause. */
export type WebauthnFault =
  /** Not the JSON that a browser makes, or parts of it cannot be read. */
  | 'malformed'
  | 'client-data-malformed'
  /** A registration for a login, or the reverse. */
  | 'client-data-type'
  | 'challenge'
  | 'origin'
  /** In a frame of another site. */
  | 'cross-origin'
  | 'authenticator-data-malformed'
  | 'rp-id'
  | 'user-not-present'
  | 'user-not-verified'
  | 'backup-flags'
  | 'attestation-malformed'
  | 'attestation-format'
  | 'attestation-signature'
  | 'credential-id'
  | 'key'
  | 'signature'
  | 'user-handle'
  | 'counter';
