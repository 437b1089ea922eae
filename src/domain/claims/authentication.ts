/**
 * The levels of a session (claim `acr`), the lowest first, with the names of NIST SP 800-63B: `aal2` when a second factor or a
 * passkey that verified its user was used.
 */
export const authenticationLevels = ['aal1', 'aal2'] as const;

export type AuthenticationLevel = (typeof authenticationLevels)[number];

/** How the user of a session proved who they are: the claims `acr`, `amr` and `auth_time` of its tokens. */
export interface Authentication {
  readonly acr: AuthenticationLevel;
  /** Methods (RFC 8176): `pwd`, `otp`, `hwk`, `swk`, `mfa`, and `recovery`. Empty when it is not known. */
  readonly amr: readonly string[];
  /** Unix time in seconds of the last proof; null when it is not known. */
  readonly authenticatedAtSeconds: number | null;
}

/** What the claims of a token say of it. A token of another program may have another level. */
export interface AuthenticationClaims {
  readonly acr: string | null;
  readonly authenticatedAtSeconds: number | null;
}

/** What a caller requires of the authentication of a token. */
export interface AuthenticationRequirement {
  readonly minAcr: AuthenticationLevel | null;
  /** How old the last proof may be. */
  readonly maxAuthAgeSeconds: number | null;
}

/** A requirement that every token satisfies. */
export const NO_AUTHENTICATION_REQUIREMENT: AuthenticationRequirement = Object.freeze({
  minAcr: null,
  maxAuthAgeSeconds: null,
});

/** The range of `max_auth_age` in configurations. Zero would refuse every token, and some would take it for "any age". */
export const MAX_AUTH_AGE_SECONDS = 4_294_967_295;

export function isAuthenticationLevel(value: unknown): value is AuthenticationLevel {
  return authenticationLevels.some((level) => level === value);
}

/** The maximum age that a configuration has as text: decimal digits alone, which every reader takes for the same number. */
export function parseMaxAuthAge(text: string): number | null {
  const seconds = /^[1-9]\d{0,9}$/.test(text) ? Number(text) : Infinity;
  return seconds <= MAX_AUTH_AGE_SECONDS ? seconds : null;
}

/** What satisfies both requirements: the higher level and the smaller age (M41). */
export function strictestRequirement(
  first: AuthenticationRequirement,
  second: AuthenticationRequirement,
): AuthenticationRequirement {
  const levels = authenticationLevels.filter((level) => level === first.minAcr || level === second.minAcr);
  const ages = [first.maxAuthAgeSeconds, second.maxAuthAgeSeconds].filter((age) => age !== null);
  return {
    minAcr: levels.at(-1) ?? null,
    maxAuthAgeSeconds: ages.length === 0 ? null : Math.min(...ages),
  };
}

/** The parameters that tell a client how to satisfy a requirement (RFC 9470 section 3), without those that are not required. */
export function stepUpParameters({
  minAcr,
  maxAuthAgeSeconds,
}: AuthenticationRequirement): Record<string, string> {
  return {
    ...(minAcr !== null && { acr_values: minAcr }),
    ...(maxAuthAgeSeconds !== null && { max_age: String(maxAuthAgeSeconds) }),
  };
}

/** For sessions of which nothing else is known: those of releases before second factors. */
export const UNKNOWN_AUTHENTICATION: Authentication = Object.freeze({
  acr: 'aal1',
  amr: Object.freeze([]),
  authenticatedAtSeconds: null,
});

/** The authentication by a password alone. */
export function passwordAuthentication(nowSeconds: number): Authentication {
  return { acr: 'aal1', amr: ['pwd'], authenticatedAtSeconds: Math.floor(nowSeconds) };
}

/** The authentication that a token states, for one that is derived from it; null for a token without a level. */
export function authenticationOf({
  acr,
  amr,
  authenticatedAtSeconds,
}: AuthenticationClaims & { readonly amr: readonly string[] }): Authentication | null {
  const level = authenticationLevels.find((name) => name === acr);
  return level === undefined ? null : { acr: level, amr, authenticatedAtSeconds };
}

/**
 * The authentication of a session whose user has proven a second factor. `amr` has the methods of this proof beside the password;
 * those of an earlier second factor are left out, so that they do not look as fresh as `auth_time`. A session that a passkey
 * alone has opened keeps its methods, since the level is theirs.
 *
 * @param current `amr` of the session
 * @param methods those of the proof
 */
export function raisedAuthentication(
  current: readonly string[],
  methods: readonly string[],
  nowSeconds: number,
): Authentication {
  const first = current.includes('mfa') ? ['hwk', 'swk', 'mfa'] : ['pwd'];
  const kept = current.filter((method) => first.includes(method));
  return {
    acr: 'aal2',
    amr: [...new Set([...kept, ...methods])],
    authenticatedAtSeconds: Math.floor(nowSeconds),
  };
}

/**
 * Why a valid token does not satisfy a requirement, in one line that says what to do, or null. A token without the claim that
 * is required does not satisfy it.
 *
 * @param nowSeconds Unix time, fractions allowed
 */
export function authenticationFault(
  { acr, authenticatedAtSeconds }: AuthenticationClaims,
  { minAcr, maxAuthAgeSeconds }: AuthenticationRequirement,
  nowSeconds: number,
): string | null {
  if (minAcr !== null && !reaches(acr, minAcr)) {
    return minAcr === 'aal2'
      ? 'this needs a second factor; call StepUp with a code or a passkey'
      : 'this needs the token of a login';
  }
  if (maxAuthAgeSeconds === null) return null;
  const isFresh =
    authenticatedAtSeconds !== null && Math.floor(nowSeconds) - authenticatedAtSeconds <= maxAuthAgeSeconds;
  return isFresh ? null : `this needs a proof of at most ${maxAuthAgeSeconds} seconds ago; call StepUp`;
}

function reaches(acr: string | null, level: AuthenticationLevel): boolean {
  return authenticationLevels.slice(authenticationLevels.indexOf(level)).some((name) => name === acr);
}
