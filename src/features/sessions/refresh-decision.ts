/** A session as the database holds it when a refresh token comes. Times in epoch milliseconds of the database's clock. */
export interface RefreshableSession {
  /** The generation of the newest refresh token. */
  readonly generation: number;
  readonly createdAtMs: number;
  /** When the newest generation was first given out in exchange for the one before; null before the first refresh. */
  readonly rotatedAtMs: number | null;
  /** The absolute end, fixed at login. */
  readonly expiresAtMs: number;
  /** Logged out, revoked, or its user disabled. */
  readonly ended: boolean;
}

export interface RefreshPolicy {
  /** How long a session lives without a refresh. */
  readonly idleMs: number;
  /** How long the immediate predecessor may come again after its first use; 0 makes every repetition reuse. */
  readonly graceMs: number;
}

export type RefreshDecision =
  /** The newest token, for the first time: `to` becomes the newest generation. */
  | { readonly kind: 'rotate'; readonly to: number }
  /** The predecessor within the grace time: the newest token is given out again. */
  | { readonly kind: 'repeat'; readonly generation: number; readonly graceLeftMs: number }
  /** A token that was exchanged long ago, or was not the last one: two hold the session, and one of them stole it. */
  | { readonly kind: 'reuse' }
  | { readonly kind: 'expired' }
  | { readonly kind: 'ended' };

/**
 * What a genuine refresh token of `presented` generation brings about at `nowMs` (RFC 9700 section 4.14.2).
 * The grace window opens at the first exchange and is never extended, and only the immediate predecessor has one.
 *
 * A generation above the stored one was signed by us all the same: a failover to a standby lost the newest exchange.
 * Its holder is the last whom we served, so it counts as the newest.
 */
export function decideRefresh(
  session: RefreshableSession,
  presented: number,
  nowMs: number,
  policy: RefreshPolicy,
): RefreshDecision {
  if (session.ended) return { kind: 'ended' };
  if (nowMs >= sessionEndMs(session, policy)) return { kind: 'expired' };
  if (presented >= session.generation) return { kind: 'rotate', to: presented + 1 };
  const graceLeftMs = session.rotatedAtMs === null ? 0 : session.rotatedAtMs + policy.graceMs - nowMs;
  if (presented === session.generation - 1 && graceLeftMs > 0)
    return { kind: 'repeat', generation: session.generation, graceLeftMs };
  return { kind: 'reuse' };
}

/** When the session expires if nobody refreshes it: idle or absolute, whichever comes first. */
export function sessionEndMs(
  session: Pick<RefreshableSession, 'createdAtMs' | 'rotatedAtMs' | 'expiresAtMs'>,
  policy: Pick<RefreshPolicy, 'idleMs'>,
): number {
  return Math.min(session.expiresAtMs, (session.rotatedAtMs ?? session.createdAtMs) + policy.idleMs);
}
