import type { AuthenticationLevel } from '../../src/domain/claims/authentication.ts';

/** The files of the corpus. Names are in snake_case, since programs in several languages read them. */

/** The rules that the tokens of a setting are judged by, as `TrustedKeys` of the trust stream has them. */
export interface PolicyVector {
  readonly issuer: string;
  readonly audiences: readonly string[];
  readonly max_lifetime: number;
  readonly clock_skew: number;
}

/** Who acts for the subject; `actor` acted before it. */
export interface ActorVector {
  readonly subject: string;
  readonly name: string | null;
  readonly actor: ActorVector | null;
}

/** What a verifier returns for an accepted token; null where the token has no such claim. Times are in seconds. */
export interface ClaimsVector {
  readonly subject: string;
  readonly subject_type: 'user' | 'service';
  readonly session_id: string | null;
  readonly token_id: string | null;
  readonly client_id: string | null;
  readonly external_id: string | null;
  readonly subject_name: string | null;
  readonly actor: ActorVector | null;
  readonly acr: string | null;
  readonly amr: readonly string[];
  readonly authenticated_at: number | null;
  readonly issuer: string | null;
  readonly audience: readonly string[];
  readonly roles: readonly string[];
  readonly issued_at: number | null;
  readonly expires_at: number;
  readonly key_id: string | null;
}

/** A text too long for this file: `head`, then `fill` until it has `length` UTF-16 code units. */
export interface Recipe {
  readonly head: string;
  readonly fill: string;
  readonly length: number;
}

export interface TokenVector {
  readonly name: string;
  /** The row of docs/promises.md that it tests; absent for a token that must be accepted. */
  readonly row?: string;
  readonly token: string | Recipe;
  readonly require?: {
    readonly audience?: string;
    readonly roles?: readonly string[];
    readonly actors?: readonly string[];
    readonly min_acr?: AuthenticationLevel;
    /** In seconds. */
    readonly max_auth_age?: number;
  };
  /** The reasons of which the refusal must have one; absent for a token that must be accepted. */
  readonly expect?: readonly string[];
  readonly claims?: ClaimsVector;
}

export interface TokenSettingVectors {
  readonly name: string;
  /** Unix time in seconds by which all its tokens are judged. */
  readonly now: number;
  /** The text of the key set. */
  readonly jwks: string;
  readonly policy: PolicyVector;
  readonly tokens: readonly TokenVector[];
}

export interface KeySetVector {
  readonly name: string;
  readonly jwks: string;
  /** The key ids that remain, sorted; empty when the whole set is unusable, so that earlier keys stay. */
  readonly kids: readonly string[];
}

export interface BearerVector {
  /** One text for each authorization header of a request. */
  readonly values: readonly string[];
  readonly kind: 'token' | 'missing' | 'malformed';
  readonly token?: string;
}

/** What happens to a verifier, and what it must answer afterwards. */
export interface StreamStep {
  readonly name: string;
  /** A stream has been opened and its first message has this much: an encoded `TrustUpdate`, base64. */
  readonly receive?: string;
  /** The stream ends with this gRPC status code. */
  readonly end?: number;
  /** Monotonic time that passes, ms; the wall clock moves along. */
  readonly elapse_ms?: number;
  /** The wall clock alone is set to this Unix time in seconds, and the once-a-second purge runs. */
  readonly set_clock?: number;
  readonly then: StreamExpectation;
}

export interface StreamExpectation {
  readonly status: 'waiting' | 'ready' | 'stale';
  readonly connected: boolean;
  readonly revocations: number;
  /** The cursor that the next stream is opened with. */
  readonly cursor: string;
  /** How often the credential of the stream has been forgotten up to now. */
  readonly forgotten: number;
  /** For tokens of the script: `accepted`, or the reason of the refusal. */
  readonly tokens: Readonly<Record<string, string>>;
}

/** A history of the stream. The verifier refuses when its news is older than `max_staleness_ms`. */
export interface StreamScript {
  readonly name: string;
  /** Unix time in seconds at the start. */
  readonly now: number;
  readonly max_staleness_ms: number;
  readonly tokens: Readonly<Record<string, string>>;
  readonly steps: readonly StreamStep[];
}

/** A caller with a valid token. The actors are names, the last one to act first; null for one without a name. */
export interface PolicyCaller {
  readonly audience: readonly string[];
  readonly roles: readonly string[];
  readonly actors: readonly (string | null)[];
  readonly acr: string | null;
  readonly authenticated_at: number | null;
}

export interface PolicyFileVector {
  readonly name: string;
  readonly format: 'yaml' | 'json';
  /** The text of the file, or `head`, then `fill` so many times, then `tail`. */
  readonly text:
    string | { readonly head: string; readonly fill: string; readonly count: number; readonly tail: string };
  /**
   * By method, the verdict for each caller: `public` (no token is looked at), `allowed`, or the reason of the refusal.
   * Null for a file with a fault, which must not be used.
   */
  readonly verdicts: Readonly<Record<string, readonly string[]>> | null;
}

export interface PolicyVectors {
  /** Unix time in seconds of the calls. */
  readonly now: number;
  /** Null for a caller without a token. */
  readonly callers: readonly (PolicyCaller | null)[];
  readonly files: readonly PolicyFileVector[];
}

export interface Corpus {
  readonly 'tokens.json': readonly TokenSettingVectors[];
  readonly 'keysets.json': readonly KeySetVector[];
  readonly 'bearer.json': readonly BearerVector[];
  readonly 'streams.json': readonly StreamScript[];
  readonly 'policies.json': PolicyVectors;
}
