import { isIdentifier } from './claim-values.ts';

/** Who acts for the subject of a token (RFC 8693 section 4.1). */
export interface Actor {
  /** The id of a service account. */
  readonly subject: string;
  /** Its name when the token was issued; null in a token of another program. */
  readonly name: string | null;
  /** Who acted before it; null for the first one. */
  readonly actor: Actor | null;
}

/** A user's call can pass through as many services. */
export const MAX_ACTORS = 4;

/**
 * Reads the claim `act`, frozen. Members besides `sub`, `name` and `act` are ignored, as unknown claims are.
 *
 * @returns null when it is malformed, or has more than four actors
 */
export function readActor(value: unknown, remaining = MAX_ACTORS): Actor | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || remaining === 0) return null;
  const { sub, name, act } = value as { readonly [claim: string]: unknown };
  if (!isIdentifier(sub) || (name !== undefined && !isIdentifier(name))) return null;
  const actor = act === undefined ? null : readActor(act, remaining - 1);
  if (act !== undefined && actor === null) return null;
  return Object.freeze({ subject: sub, name: name ?? null, actor });
}

/** The claim `act` of an actor. */
export function actorClaim({ subject, name, actor }: Actor): Record<string, unknown> {
  return { sub: subject, ...(name !== null && { name }), ...(actor !== null && { act: actorClaim(actor) }) };
}

/** The actors, the last one first. */
export function actorsOf(actor: Actor | null): readonly Actor[] {
  return actor === null ? [] : [actor, ...actorsOf(actor.actor)];
}
