/** The settings that govern the lifetime and number of sessions. */
export interface SessionPolicy {
  /** The time from login to the absolute end. */
  readonly lifetimeSeconds: number;
  /** How long a session lives without a refresh. */
  readonly idleSeconds: number;
  /** How long a used refresh token may be repeated. */
  readonly graceSeconds: number;
  /** The maximum number of live sessions of one user. */
  readonly perUser: number;
  readonly accessTokenSeconds: number;
}

export function sessionPolicyOf(settings: {
  readonly refreshTokenTtlSeconds: number;
  readonly refreshIdleSeconds: number;
  readonly refreshGraceSeconds: number;
  readonly sessionsPerUser: number;
  readonly accessTokenTtlSeconds: number;
}): SessionPolicy {
  return {
    lifetimeSeconds: settings.refreshTokenTtlSeconds,
    idleSeconds: settings.refreshIdleSeconds,
    graceSeconds: settings.refreshGraceSeconds,
    perUser: settings.sessionsPerUser,
    accessTokenSeconds: settings.accessTokenTtlSeconds,
  };
}
