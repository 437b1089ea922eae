import { DEFAULT_SKEW_SECONDS } from '../../domain/claims.ts';

/** `pending`: published, does not sign yet. `retired`: signs no more, verifies until its last token has expired. */
export type SigningKeyState = 'pending' | 'active' | 'retired' | 'revoked';

/** What decides about a key's next step. Times are epoch milliseconds of the database's clock. */
export interface KeyStage {
  readonly kid: string;
  readonly algorithm: string;
  readonly state: SigningKeyState;
  readonly activateAtMs: number;
  readonly activatedAtMs: number | null;
  readonly removeAtMs: number | null;
}

export interface KeyPolicy {
  readonly algorithm: string;
  readonly rotationSeconds: number;
  /** How long a verifier may keep the key set without asking again. */
  readonly jwksMaxAgeSeconds: number;
  readonly accessTokenTtlSeconds: number;
}

export type KeyStep =
  | { readonly kind: 'prepare'; readonly activateAtMs: number }
  | {
      readonly kind: 'activate';
      readonly kid: string;
      readonly retire: string | null;
      readonly removeAtMs: number;
    }
  | { readonly kind: 'remove'; readonly kid: string };

/** Every instance reads the keys within this time of a change, and publishes or drops them then. */
const PROPAGATION_MS = 3_000;

/** When a key that is published now may sign: no verifier's copy of the set is older by then. */
export function activationTime(policy: KeyPolicy, nowMs: number): number {
  return nowMs + policy.jwksMaxAgeSeconds * 1000 + PROPAGATION_MS;
}

/** When a key that signs no more from now may go: its last token has expired for the slowest clock. */
export function removalTime(policy: KeyPolicy, nowMs: number): number {
  return nowMs + (policy.accessTokenTtlSeconds + 2 * DEFAULT_SKEW_SECONDS) * 1000 + PROPAGATION_MS;
}

/**
 * The steps that are due now. A new key is prepared early enough to sign when the active one reaches its age, and at
 * once when the algorithm was changed.
 */
export function dueSteps(keys: readonly KeyStage[], policy: KeyPolicy, nowMs: number): KeyStep[] {
  const steps: KeyStep[] = keys
    .filter(({ state, removeAtMs }) => state === 'retired' && removeAtMs !== null && removeAtMs <= nowMs)
    .map(({ kid }) => ({ kind: 'remove', kid }));
  const active = keys.find(({ state }) => state === 'active');
  const pending = keys.find(({ state }) => state === 'pending');
  if (pending) {
    if (pending.activateAtMs > nowMs && active) return steps;
    const removeAtMs = removalTime(policy, nowMs);
    return [...steps, { kind: 'activate', kid: pending.kid, retire: active?.kid ?? null, removeAtMs }];
  }
  if (active && isDue(active, policy, nowMs)) {
    steps.push({ kind: 'prepare', activateAtMs: activationTime(policy, nowMs) });
  }
  return steps;
}

function isDue(active: KeyStage, policy: KeyPolicy, nowMs: number): boolean {
  if (active.algorithm !== policy.algorithm) return true;
  const dueMs = (active.activatedAtMs ?? active.activateAtMs) + policy.rotationSeconds * 1000;
  return activationTime(policy, nowMs) >= dueMs;
}
