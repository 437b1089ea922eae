/** The settings by which sessions live. */
export interface SessionPolicy {
  /** From login to the absolute end. */
  readonly lifetimeSeconds: number;
  readonly idleSeconds: number;
  readonly graceSeconds: number;
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
