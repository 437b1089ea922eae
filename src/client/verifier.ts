import { status } from '@grpc/grpc-js';

import { MAX_TIMER_MS } from '../domain/concurrency/timeout.ts';
import { errorText } from '../domain/error-text.ts';
import { looksLikeApiKey } from '../domain/claims/api-key.ts';
import { authenticationFault } from '../domain/claims/authentication.ts';
import type { VerifiedClaims } from '../domain/claims/claims.ts';
import { RETRY_AFTER_MS } from '../domain/rejection.ts';
import { TrustServiceClient } from '../generated/postern/v1/trust.ts';
import { type TokenVerdict, TokenVerifier } from '../tokens/verify/token-verifier.ts';
import { VerifiedTokenCache } from '../tokens/verify/verified-token-cache.ts';
import { type ServiceAccount, ServiceCredential, serviceCredential } from './service-credential.ts';
import { apiKeyLookUp } from '../trust/api-key-look-up.ts';
import { ApiKeyResolver } from '../trust/api-key-resolver.ts';
import { StreamTrustSource, type SourceEvent } from '../trust/stream-trust-source.ts';
import { TrustBundle } from '../trust/trust-bundle.ts';
import { refuseApiKey, verifyApiKey } from './api-key-verification.ts';
import { channelCredentials, channelOptions, type Upstream, upstreamFaults } from './channel.ts';
import {
  accountFaults,
  isDuration,
  isName,
  isRecord,
  throwFaults,
  unknownMembers,
} from './argument-checks.ts';
import { JwksTrustSource } from '../trust/jwks-trust-source.ts';
import { PosternError, stepUpRequired } from './postern-error.ts';
import {
  authenticationIn,
  type Requirements,
  validateVerifyOptions,
  type VerifyOptions,
} from './access-rules.ts';

/** Where a verifier gets keys and revocations from. */
export type TrustOrigin =
  /** WatchTrust: keys and revocations as they change. Issuer and audiences come from the stream, too. */
  | {
      readonly upstream: Upstream;
      /** The account that authenticates the stream, or a `workloadCredential`; not needed on a unix socket. */
      readonly credential?: ServiceAccount | ServiceCredential;
    }
  /** A JWKS URL: keys only. A revoked token is accepted until it expires. */
  | {
      readonly jwksUrl: string;
      readonly issuer: string;
      readonly audiences: readonly string[];
      /** Allows an http URL of another machine, for a proxy in between that encrypts. */
      readonly insecure?: boolean;
    };

export interface VerifierOptions {
  readonly trust: TrustOrigin;
  /** The maximum staleness of the revocations, ms; 300 000 by default. */
  readonly maxStalenessMs?: number;
  /** Beyond that, `refuse` (the default) fails with UNAVAILABLE TRUST_STALE; `accept` verifies with what is known. */
  readonly whenStale?: 'refuse' | 'accept';
  /** Size of the cache of verified tokens, bytes; 64 MiB by default, 0 for no cache. */
  readonly cacheBytes?: number;
  /** Called when the source connects, disconnects, or sends unusable keys. */
  readonly onEvent?: (event: SourceEvent) => void;
}

export interface VerifierState {
  /** `ready`: can verify; `waiting`: keys and revocations are not loaded yet; `stale`: staleness above the maximum. */
  readonly status: 'ready' | 'waiting' | 'stale';
  readonly connected: boolean;
  /** The staleness of the revocations, ms; null with a JWKS URL, and until the first ones are loaded. */
  readonly ageMs: number | null;
  /** How many revocations are known. */
  readonly revocations: number;
}

/** Verifies access tokens and API keys inside this process. */
export interface Verifier {
  /**
   * The claims of a valid token, or of an API key with its rights; without a promise if the token or the key is cached.
   * The service is asked once for each key. Throws, or rejects with, a `PosternError`: UNAUTHENTICATED with a TOKEN_ reason,
   * API_KEY_INVALID or STEP_UP_REQUIRED, PERMISSION_DENIED ROLE_MISSING or ACTOR_NOT_ALLOWED, UNAVAILABLE TRUST_STALE. `await` handles
   * both.
   *
   * @throws TypeError for a token that is no string, and for invalid options, such as a misspelt member
   */
  verify(token: string, options?: VerifyOptions): VerifiedClaims | Promise<VerifiedClaims>;
  state(): VerifierState;
  /**
   * Resolves when tokens can be verified. The value is always true, for programs that test it.
   *
   * @param limitMs how long to wait
   * @throws PosternError UNAVAILABLE TRUST_STALE after that time, with the cause: what the last attempt failed with
   */
  ready(limitMs: number): Promise<true>;
  /** Ends the connection. From now on every token is refused with TRUST_STALE, since revocations do not arrive any more. */
  close(): void;
}

const MAX_STALENESS_MS = 300_000;
const CACHE_BYTES = 64 * 1024 * 1024;
const NO_REQUIREMENTS: Requirements = {};

/**
 * Creates a verifier, which connects at once; `ready` waits until it can verify tokens.
 *
 * @throws TypeError for invalid options
 */
export function createVerifier(options: VerifierOptions): Verifier {
  validateOptions(options);
  const { trust: origin, maxStalenessMs = MAX_STALENESS_MS, whenStale = 'refuse' } = options;
  const { cacheBytes = CACHE_BYTES, onEvent = () => undefined } = options;
  const bundle = new TrustBundle();
  let failure: SourceFailure | null = null;
  const { source, resolver, release } = sourceOf(origin, bundle, (event) => {
    failure = event.kind === 'connected' ? null : event;
    try {
      onEvent(event);
    } catch (error) {
      // An error of the listener must not stop the verifier.
      process.emitWarning(`onEvent of createVerifier threw: ${String(error)}`);
    }
  });
  const hasRevocations = 'upstream' in origin;
  const verifier = new TokenVerifier({
    trust: bundle,
    policy: () => source.policy ?? failStale(),
    cache: cacheBytes > 0 ? new VerifiedTokenCache(cacheBytes) : null,
    nowMs: Date.now,
  });
  source.start();

  let isClosed = false;
  const isStale = () => whenStale === 'refuse' && bundle.ageMs > maxStalenessMs;
  /** A polled key set may lack a new key: it is fetched once more before the token is refused. */
  const refetchAndVerify = async (jwks: JwksTrustSource, token: string, requirements: Requirements) => {
    await jwks.refetch();
    return claimsOrThrow(await verifier.verify(token, requirements.audience), requirements);
  };

  return {
    verify(token, requirements = NO_REQUIREMENTS) {
      if (typeof token !== 'string') throwFaults('verify', ['the token must be a string']);
      validateVerifyOptions(requirements);
      if (isClosed) throw closedError();
      const isApiKey = looksLikeApiKey(token);
      if (isApiKey && resolver === null) refuseApiKey();
      if (!bundle.loaded || isStale()) failStale();
      if (isApiKey && resolver !== null) {
        const claims = verifyApiKey(resolver, token, requirements);
        return claims instanceof Promise
          ? claims.then((resolved) => claimsOrThrow({ ok: true, claims: resolved }, requirements))
          : claimsOrThrow({ ok: true, claims }, requirements);
      }
      const verdict = verifier.verify(token, requirements.audience);
      if (verdict instanceof Promise)
        return verdict.then((resolved) => claimsOrThrow(resolved, requirements));
      if (hasUnknownKey(verdict) && source instanceof JwksTrustSource && source.canRefetch) {
        return refetchAndVerify(source, token, requirements);
      }
      return claimsOrThrow(verdict, requirements);
    },
    state() {
      const { ageMs } = bundle;
      const loaded = bundle.loaded && !isClosed;
      const freshness = ageMs > maxStalenessMs ? 'stale' : 'ready';
      return {
        status: loaded ? freshness : 'waiting',
        connected: source.connected,
        ageMs: hasRevocations && loaded ? Math.max(0, Math.round(ageMs)) : null,
        revocations: bundle.revocationCount,
      };
    },
    async ready(limitMs) {
      if (!isDuration(limitMs, MAX_TIMER_MS))
        throwFaults('ready', ['limitMs must be a number of milliseconds']);
      if (!isClosed) await bundle.whenLoaded(limitMs, whenStale === 'refuse' ? maxStalenessMs : Infinity);
      if (isClosed) throw closedError();
      if (bundle.loaded && !isStale()) return true;
      throw notReady(bundle.loaded, limitMs, failure);
    },
    close() {
      isClosed = true;
      source.stop();
      release();
    },
  };
}

function claimsOrThrow(verdict: TokenVerdict, requirements: Requirements): VerifiedClaims {
  if (!verdict.ok) {
    const { reason, detail } = verdict.refusal;
    throw new PosternError(detail, { code: status.UNAUTHENTICATED, reason });
  }
  requireClaims(verdict.claims, requirements);
  return verdict.claims;
}

/** The requirements beyond the audience. @throws PosternError */
export function requireClaims(claims: VerifiedClaims, requirements: Omit<Requirements, 'audience'>): void {
  requireAuthentication(claims, requirements);
  const { roles, actors } = requirements;
  const missing = roles?.find((role) => !claims.roles.includes(role));
  if (missing !== undefined) {
    const facts = { code: status.PERMISSION_DENIED, reason: 'ROLE_MISSING' } as const;
    throw new PosternError(`the subject lacks the role '${missing}'`, facts);
  }
  // Only the service that made this call counts: those before it are history (RFC 8693 section 4.1).
  const actor = claims.actor?.name ?? null;
  if (actors !== undefined && (actor === null || !actors.includes(actor))) {
    const facts = { code: status.PERMISSION_DENIED, reason: 'ACTOR_NOT_ALLOWED' } as const;
    throw new PosternError('the token names no service that may act for the subject here', facts);
  }
}

/** Before the roles: those that need a second factor are in no token of a lower level. @throws PosternError STEP_UP_REQUIRED */
function requireAuthentication(claims: VerifiedClaims, requirements: Requirements): void {
  if (requirements.minAcr === undefined && requirements.maxAuthAgeSeconds === undefined) return;
  const requirement = authenticationIn(requirements);
  const fault = authenticationFault(claims, requirement, Date.now() / 1000);
  if (fault !== null) throw stepUpRequired(fault, requirement);
}

const OPTIONS = ['trust', 'maxStalenessMs', 'whenStale', 'cacheBytes', 'onEvent'];

function validateOptions(options: VerifierOptions): void {
  if (!isRecord(options)) throw new TypeError('createVerifier: the options must be an object, { trust }');
  const { trust, maxStalenessMs, whenStale, cacheBytes, onEvent } = options;
  const faults = unknownOptionFaults('', options, OPTIONS);
  if (maxStalenessMs !== undefined && !isDuration(maxStalenessMs))
    faults.push('maxStalenessMs must be greater than 0');
  if (whenStale !== undefined && !['refuse', 'accept'].includes(whenStale))
    faults.push("whenStale must be 'refuse' or 'accept'");
  if (cacheBytes !== undefined && !(typeof cacheBytes === 'number' && cacheBytes >= 0))
    faults.push('cacheBytes must be a number that is not negative');
  if (onEvent !== undefined && typeof onEvent !== 'function') faults.push('onEvent must be a function');
  faults.push(...trustFaults(trust));
  throwFaults('createVerifier', faults);
}

function trustFaults(trust: unknown): string[] {
  if (isRecord(trust) && 'jwksUrl' in trust) {
    const { issuer, audiences, insecure } = trust;
    const faults = unknownOptionFaults('trust.', trust, ['jwksUrl', 'issuer', 'audiences', 'insecure']);
    faults.push(...jwksUrlFaults(trust['jwksUrl']));
    if (insecure !== undefined && typeof insecure !== 'boolean')
      faults.push('trust.insecure must be true or false');
    if (!isName(issuer)) faults.push('trust.issuer is missing');
    if (!Array.isArray(audiences) || audiences.length === 0 || !audiences.every(isName))
      faults.push('trust.audiences must name at least one audience');
    return faults;
  }
  if (!isRecord(trust) || !isRecord(trust['upstream']))
    return ['trust must have an upstream, { address: "host:port" }, or a jwksUrl'];
  const { upstream, credential } = trust;
  const faults = unknownOptionFaults('trust.', trust, ['upstream', 'credential']);
  faults.push(...upstreamFaults(upstream, 'trust.upstream'));
  if (credential === undefined || credential instanceof ServiceCredential) return faults;
  return [...faults, ...accountFaults(credential, 'trust.credential ')];
}

function jwksUrlFaults(jwksUrl: unknown): string[] {
  const url = URL.canParse(String(jwksUrl)) ? new URL(String(jwksUrl)) : null;
  if (!url || !/^https?:$/.test(url.protocol)) return ['trust.jwksUrl must be an http or https URL'];
  // fetch refuses them, with a message that has the whole URL.
  if (url.username !== '' || url.password !== '') return ['trust.jwksUrl must not have a user or a password'];
  return [];
}

function unknownOptionFaults(prefix: string, options: object, known: readonly string[]): string[] {
  return unknownMembers(options, known).map((name) => `${prefix}${name} is not a known option`);
}

const hasUnknownKey = (verdict: TokenVerdict) =>
  !verdict.ok && verdict.refusal.reason === 'TOKEN_KEY_UNKNOWN';

function sourceOf(origin: TrustOrigin, bundle: TrustBundle, report: (event: SourceEvent) => void) {
  if ('jwksUrl' in origin) {
    const source = new JwksTrustSource(origin, bundle, report);
    return { source, resolver: null, release: () => undefined };
  }
  const { upstream, credential } = origin;
  const client = new TrustServiceClient(
    upstream.address,
    channelCredentials(upstream),
    channelOptions(upstream),
  );
  // A credential of the program may be in use elsewhere, and is not closed with the verifier.
  const isOwn = credential !== undefined && !(credential instanceof ServiceCredential);
  const watchCredential = isOwn ? serviceCredential(upstream, credential) : (credential ?? null);
  const release = () => {
    client.close();
    if (isOwn) watchCredential?.close();
  };
  const source = new StreamTrustSource({ client, bundle, credential: watchCredential, report });
  const lookUp = apiKeyLookUp({ client, credential: watchCredential });
  const resolver = new ApiKeyResolver({ bundle, policy: () => source.policy, lookUp });
  return { source, resolver, release };
}

type SourceFailure = Exclude<SourceEvent, { kind: 'connected' }>;

function notReady(isLoaded: boolean, limitMs: number, failure: SourceFailure | null): PosternError {
  const what = isLoaded
    ? 'the keys and revocations are older than maxStalenessMs'
    : `no keys and revocations were received within ${limitMs} ms`;
  const facts = { code: status.UNAVAILABLE, reason: 'TRUST_STALE', retryDelayMs: RETRY_AFTER_MS } as const;
  return new PosternError(`${what}: ${causeText(isLoaded, failure)}`, facts, { cause: failure });
}

function causeText(isLoaded: boolean, failure: SourceFailure | null): string {
  if (failure?.kind === 'unusable') return errorText(failure.error);
  if (failure) return `${status[failure.end.code]}: ${failure.end.details}`;
  return isLoaded
    ? 'what the source sends is old; Postern may be cut off from its database, or a cache may keep the key set for too long'
    : 'there is no answer yet; check the address, and that no firewall drops the packets';
}

function closedError(): PosternError {
  return new PosternError('the verifier is closed', { code: status.UNAVAILABLE, reason: 'TRUST_STALE' });
}

function failStale(): never {
  throw new PosternError('keys and revocations are not loaded yet, or are too old; retry later', {
    code: status.UNAVAILABLE,
    reason: 'TRUST_STALE',
    retryDelayMs: RETRY_AFTER_MS,
  });
}
