/** A signing key as the service lists it; times in ms. */
export interface KeyTimes {
  readonly kid: string;
  readonly algorithm: string;
  /** `pending`, `active`, `retired` or `revoked`. */
  readonly state: string;
  readonly createdAtMs: number;
  /** When it began to sign, or will. */
  readonly activateAtMs: number;
  /** When a retired key is removed. */
  readonly removeAtMs: number | null;
}

/** `published`: verifiers know it, it does not sign yet. `retired`: it verifies the tokens that it signed. */
export type PhaseKind = 'published' | 'signs' | 'retired';

export interface Phase {
  readonly kind: PhaseKind;
  readonly fromMs: number;
  /** Null: until something happens whose time is not known yet. */
  readonly toMs: number | null;
}

/** The life of a key: its phases in order, without gaps. */
export interface KeyLife extends KeyTimes {
  readonly phases: readonly Phase[];
  /** When it is gone or was revoked; null while that is not known. */
  readonly endMs: number | null;
  readonly isRevoked: boolean;
}

/** Times that lie closer together are those of one statement. */
const SAME_MS = 1_000;

/**
 * The lives of keys. The service says when a key begins to sign and when it is removed. It stops signing when the next one
 * begins; when a key was revoked stands in the audit trail.
 *
 * @param revokedAtMs by kid, as far as it is known
 */
export function livesOf(keys: readonly KeyTimes[], revokedAtMs: ReadonlyMap<string, number>): KeyLife[] {
  return keys.map((key) => {
    const isRevoked = key.state === 'revoked';
    const stopsMs = stopOf(key, keys, revokedAtMs);
    const successor = key.state === 'active' ? keys.find(({ state }) => state === 'pending') : undefined;
    const endMs = isRevoked
      ? (revokedAtMs.get(key.kid) ?? stopsMs ?? key.activateAtMs)
      : key.state === 'retired'
        ? key.removeAtMs
        : null;
    const phases: Phase[] = [];
    const add = (kind: PhaseKind, fromMs: number, toMs: number | null) => {
      const until = endMs === null ? toMs : Math.min(toMs ?? endMs, endMs);
      if (until === null || until - fromMs >= SAME_MS) phases.push({ kind, fromMs, toMs: until });
    };
    add('published', key.createdAtMs, key.activateAtMs);
    const wasRetired = key.removeAtMs !== null && (key.state === 'retired' || isRevoked);
    const retiresMs = successor?.activateAtMs ?? (wasRetired ? stopsMs : null);
    add('signs', key.activateAtMs, retiresMs);
    if (retiresMs !== null) add('retired', retiresMs, key.removeAtMs);
    return { ...key, phases, endMs, isRevoked };
  });
}

/** When a key stopped signing: when the next one began. */
function stopOf(
  key: KeyTimes,
  keys: readonly KeyTimes[],
  revokedAtMs: ReadonlyMap<string, number>,
): number | null {
  const next = keys.filter(
    ({ kid, state, activateAtMs }) =>
      state !== 'pending' &&
      activateAtMs > key.activateAtMs &&
      // A key that was revoked before its time has never signed.
      (revokedAtMs.get(kid) ?? Infinity) >= activateAtMs,
  );
  return next.length === 0 ? null : Math.min(...next.map(({ activateAtMs }) => activateAtMs));
}

/** The next change of a key by itself: it begins to sign, or is gone. Null: none is known. */
export function nextChange(keys: readonly KeyTimes[]): number | null {
  const times = keys.flatMap(({ state, activateAtMs, removeAtMs }) =>
    state === 'pending' ? [activateAtMs] : state === 'retired' && removeAtMs !== null ? [removeAtMs] : [],
  );
  return times.length === 0 ? null : Math.min(...times);
}
