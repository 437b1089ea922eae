/** A session as stored when a refresh token is presented. Times are Unix time of the database's clock, ms. */
export interface RefreshableSession {
  /** The generation of the newest refresh token. */
  readonly generation: number;
  readonly createdAtMs: number;
  /** When the newest generation was first issued in exchange for its predecessor; null before the first refresh. */
  readonly rotatedAtMs: number | null;
  /** The absolute end, fixed at login. */
  readonly expiresAtMs: number;
  /** Whether the session was logged out or revoked, or ended because its user was disabled. */
  readonly ended: boolean;
}

export interface RefreshPolicy {
  /** How long a session lives without a refresh. */
  readonly idleMs: number;
  /** How long after its first use the immediate predecessor may be repeated. With 0 every repeat is reuse. */
  readonly graceMs: number;
}

export type RefreshDecision =
  /** The newest token is used for the first time: `to` becomes the newest generation. */
  | { readonly kind: 'rotate'; readonly to: number }
  /** The predecessor is repeated within the grace time: the newest token is issued again. */
  | { readonly kind: 'repeat'; readonly generation: number; readonly graceLeftMs: number }
  /**
   * An older token, or the predecessor after its grace time: two parties hold the session, and one of them stole it.
   */
  | { readonly kind: 'reuse' }
  | { readonly kind: 'expired' }
  | { readonly kind: 'ended' };

/**
 * Decides what a genuine refresh token does (RFC 9700 section 4.14.2). The grace time starts at the first exchange and
 * is never extended. Only the immediate predecessor has one.
 *
 * A generation above the stored one is genuine too: a failover to a standby has lost the newest exchange. The client
 * that presents it was served last, so the token counts as the newest.
 *
 * @param presentedGeneration the generation of the presented token
 * @param nowMs Unix time of the database's clock, ms
 */
export function decideRefresh(
  session: RefreshableSession,
  presentedGeneration: number,
  nowMs: number,
  policy: RefreshPolicy,
): RefreshDecision {
  if (session.ended) return { kind: 'ended' };
  if (nowMs >= sessionEndMs(session, policy)) return { kind: 'expired' };
  if (presentedGeneration >= session.generation) return { kind: 'rotate', to: presentedGeneration + 1 };
  const graceLeftMs = session.rotatedAtMs === null ? 0 : session.rotatedAtMs + policy.graceMs - nowMs;
  if (presentedGeneration === session.generation - 1 && graceLeftMs > 0)
    return { kind: 'repeat', generation: session.generation, graceLeftMs };
  return { kind: 'reuse' };
}

/** When the session expires without a further refresh: its idle or its absolute end, whichever comes first. */
export function sessionEndMs(
  session: Pick<RefreshableSession, 'createdAtMs' | 'rotatedAtMs' | 'expiresAtMs'>,
  policy: Pick<RefreshPolicy, 'idleMs'>,
): number {
  return Math.min(session.expiresAtMs, (session.rotatedAtMs ?? session.createdAtMs) + policy.idleMs);
}
