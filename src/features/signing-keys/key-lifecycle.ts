import { DEFAULT_SKEW_SECONDS } from '../../domain/claims/claims.ts';

/**
 * `pending`: published, does not sign yet. `active`: signs. `retired`: no longer signs, verifies until its last token
 * has expired. `revoked`: neither signs nor verifies.
 */
export type SigningKeyState = 'pending' | 'active' | 'retired' | 'revoked';

/** The properties of a key that decide its next step. Times are Unix time of the database's clock, ms. */
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
  /** How long a verifier may cache the JWKS. */
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

/** The time within which every instance has read a change of the keys. */
const PROPAGATION_MS = 3_000;

/** When a key that is published now may sign: every verifier has fetched a JWKS with the key by then. Unix time, ms. */
export function activationTime(policy: KeyPolicy, nowMs: number): number {
  return nowMs + policy.jwksMaxAgeSeconds * 1000 + PROPAGATION_MS;
}

/** When a key that stops signing now may be removed: its last token has expired by the slowest clock. Unix time, ms. */
export function removalTime(policy: KeyPolicy, nowMs: number): number {
  return nowMs + (policy.accessTokenTtlSeconds + 2 * DEFAULT_SKEW_SECONDS) * 1000 + PROPAGATION_MS;
}

/**
 * Decides which steps are due now. A new key is prepared early enough to sign when the active key reaches its rotation
 * age, and immediately when the algorithm was changed.
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
  if (active && isRotationDue(active, policy, nowMs)) {
    steps.push({ kind: 'prepare', activateAtMs: activationTime(policy, nowMs) });
  }
  return steps;
}

function isRotationDue(active: KeyStage, policy: KeyPolicy, nowMs: number): boolean {
  if (active.algorithm !== policy.algorithm) return true;
  const dueMs = (active.activatedAtMs ?? active.activateAtMs) + policy.rotationSeconds * 1000;
  return activationTime(policy, nowMs) >= dueMs;
}
