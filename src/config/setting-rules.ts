import { type ListenAddress, staysOnThisMachine } from '../net/listen-address.ts';
import type { Network } from '../net/cidr.ts';
import type { Secret } from '../domain/secret.ts';
import { leaveRoomForRoles, MAX_ISSUER_AND_AUDIENCE_BYTES } from '../domain/roles.ts';

type Algorithm = 'ES256' | 'RS256' | 'EdDSA' | 'HS256';
export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';

/** One value for each setting, in the order of the documentation. Production means that `databaseUrl` is set. */
export interface SettingValues {
  readonly databaseUrl: Secret | null;
  readonly dataDir: string;
  readonly migrate: 'auto' | 'off';
  readonly grpcListen: ListenAddress;
  readonly httpListen: ListenAddress;
  readonly issuer: string;
  /** The first is the default audience. */
  readonly audiences: readonly [string, ...string[]];
  /** One of them; null for the first. In a sidecar, which knows none of them, any name. */
  readonly apiAudience: string | null;
  readonly algorithm: Algorithm;
  /** Used as UTF-8 text. Set exactly when the algorithm is HS256; for `command` it may be missing there. */
  readonly secret: Secret | null;
  readonly legacySecret: Secret | null;
  readonly legacyUntilMs: number | null;
  /** `base64()` gives its 32 bytes. May be null in embedded mode (the data directory holds one) and for `command`. */
  readonly masterKey: Secret | null;
  readonly masterKeyPrevious: Secret | null;
  readonly accessTokenTtlSeconds: number;
  readonly refreshTokenTtlSeconds: number;
  readonly refreshIdleSeconds: number;
  /** 0: no grace. */
  readonly refreshGraceSeconds: number;
  readonly sessionsPerUser: number;
  readonly keyRotationSeconds: number;
  readonly jwksMaxAgeSeconds: number;
  readonly maxStalenessSeconds: number;
  /** 0 turns the cache off. */
  readonly tokenCacheBytes: number;
  readonly hashConcurrency: number;
  readonly passwordMinLength: number;
  readonly trustedProxies: readonly Network[];
  readonly maxConnections: number;
  readonly shutdownDelaySeconds: number;
  readonly reflection: boolean;
  readonly clientId: string | null;
  readonly clientSecret: Secret | null;
  /** Paths. */
  readonly tlsCert: string | null;
  readonly tlsKey: string | null;
  readonly tlsClientCa: string | null;
  readonly tlsServiceIdentities: readonly string[];
  readonly tlsAdminIdentities: readonly string[];
  /** A path, or `system`. */
  readonly upstreamCa: string | null;
  readonly upstreamCert: string | null;
  readonly upstreamKey: string | null;
  readonly insecure: boolean;
  /** A URL without path; null: no traces. */
  readonly traceEndpoint: string | null;
  readonly logLevel: LogLevel;
}

/**
 * What the settings are wanted for. A wrong value is a fault for every purpose, a missing one only where it is used:
 * `serve` needs all, `sidecar` its listeners and the way to the service, `keys` (commands that open or seal signing
 * keys) everything but fit listeners, and `command` no more than the way to the database.
 */
export type SettingsPurpose = 'serve' | 'sidecar' | 'keys' | 'command';

export interface SettingsRead {
  readonly values: SettingValues;
  /** Settings already at fault alone; a rule that reads one of them would only blame it twice. */
  readonly faulty: ReadonlySet<keyof SettingValues>;
  readonly purpose: SettingsPurpose;
  readonly production: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

interface Rule {
  readonly reads: readonly (keyof SettingValues)[];
  /** Every purpose when left out. */
  readonly for?: readonly SettingsPurpose[];
  readonly isBroken: (values: SettingValues, read: SettingsRead) => boolean;
  readonly fault: string;
}

const rules: readonly Rule[] = [
  {
    // K07: without it the sealed keys can be neither opened nor made.
    reads: ['masterKey'],
    for: ['serve', 'keys'],
    isBroken: ({ masterKey }, { production }) => production && masterKey === null,
    fault: 'POSTERN_MASTER_KEY is required with DATABASE_URL; make one with: openssl rand -base64 32',
  },
  {
    reads: ['masterKey', 'masterKeyPrevious'],
    isBroken: ({ masterKey, masterKeyPrevious: previous }) =>
      previous !== null && (masterKey === null || masterKey.base64().equals(previous.base64())),
    fault:
      'POSTERN_MASTER_KEY_PREVIOUS needs another key in POSTERN_MASTER_KEY; set the new one there, the old one here',
  },
  {
    // T26: a token that grows beyond its limit would be no token, at the first login of whoever has many roles.
    reads: ['issuer', 'audiences'],
    isBroken: ({ issuer, audiences }) => !leaveRoomForRoles(issuer, audiences),
    fault:
      `POSTERN_ISSUER and each name of POSTERN_AUDIENCE may have ${MAX_ISSUER_AND_AUDIENCE_BYTES} bytes together; ` +
      'shorten one, or tokens have no room for roles',
  },
  {
    // Nobody could get a token for it, so nobody could administer. A sidecar is told the audiences by its upstream.
    reads: ['audiences', 'apiAudience'],
    for: ['serve', 'keys', 'command'],
    isBroken: ({ audiences, apiAudience }) => apiAudience !== null && !audiences.includes(apiAudience),
    fault: 'POSTERN_API_AUDIENCE must be one of POSTERN_AUDIENCE; add it there, or name one that is there',
  },
  {
    reads: ['algorithm', 'secret'],
    for: ['serve', 'keys'],
    isBroken: ({ algorithm, secret }) => algorithm === 'HS256' && secret === null,
    fault: 'POSTERN_SECRET is required with POSTERN_ALGORITHM=HS256; make one with: openssl rand -hex 32',
  },
  {
    reads: ['algorithm', 'secret'],
    isBroken: ({ algorithm, secret }) => algorithm !== 'HS256' && secret !== null,
    fault: 'POSTERN_SECRET goes with POSTERN_ALGORITHM=HS256 only; remove it, or sign with HS256',
  },
  {
    reads: ['legacySecret', 'legacyUntilMs'],
    isBroken: ({ legacySecret, legacyUntilMs }) => (legacySecret === null) !== (legacyUntilMs === null),
    fault: 'POSTERN_LEGACY_HS256_SECRET and POSTERN_LEGACY_HS256_UNTIL go together; set both or neither',
  },
  {
    reads: ['algorithm', 'legacySecret'],
    isBroken: ({ algorithm, legacySecret }) => algorithm === 'HS256' && legacySecret !== null,
    fault: 'POSTERN_LEGACY_HS256_SECRET and POSTERN_ALGORITHM=HS256 do not go together; remove one',
  },
  {
    reads: ['keyRotationSeconds', 'jwksMaxAgeSeconds'],
    isBroken: ({ keyRotationSeconds, jwksMaxAgeSeconds }) => keyRotationSeconds < jwksMaxAgeSeconds,
    fault:
      'POSTERN_KEY_ROTATION must not be below POSTERN_JWKS_MAX_AGE, for which a new key is published before it signs',
  },
  {
    reads: ['clientId', 'clientSecret'],
    isBroken: ({ clientId, clientSecret }) => (clientId === null) !== (clientSecret === null),
    fault: 'POSTERN_CLIENT_ID and POSTERN_CLIENT_SECRET go together; set both or neither',
  },
  {
    reads: ['tlsCert', 'tlsKey'],
    isBroken: ({ tlsCert, tlsKey }) => (tlsCert === null) !== (tlsKey === null),
    fault: 'POSTERN_TLS_CERT and POSTERN_TLS_KEY go together; set both or neither',
  },
  {
    reads: ['tlsCert', 'tlsKey', 'tlsClientCa'],
    isBroken: ({ tlsCert, tlsKey, tlsClientCa }) =>
      tlsClientCa !== null && tlsCert === null && tlsKey === null,
    fault: 'POSTERN_TLS_CLIENT_CA needs TLS; set POSTERN_TLS_CERT and POSTERN_TLS_KEY as well',
  },
  {
    reads: ['tlsClientCa', 'tlsServiceIdentities', 'tlsAdminIdentities'],
    isBroken: ({ tlsClientCa, tlsServiceIdentities, tlsAdminIdentities }) =>
      tlsClientCa === null && tlsServiceIdentities.length + tlsAdminIdentities.length > 0,
    fault:
      'POSTERN_TLS_SERVICE_IDENTITIES and POSTERN_TLS_ADMIN_IDENTITIES need POSTERN_TLS_CLIENT_CA, ' +
      'the authorities whose word is believed; set it as well',
  },
  {
    reads: ['upstreamCert', 'upstreamKey'],
    isBroken: ({ upstreamCert, upstreamKey }) => (upstreamCert === null) !== (upstreamKey === null),
    fault: 'POSTERN_UPSTREAM_CERT and POSTERN_UPSTREAM_KEY go together; set both or neither',
  },
  {
    reads: ['upstreamCa', 'upstreamCert'],
    isBroken: ({ upstreamCa, upstreamCert }) => upstreamCa === null && upstreamCert !== null,
    fault: 'POSTERN_UPSTREAM_CERT needs TLS to the upstream; set POSTERN_UPSTREAM_CA to a file or to system',
  },
  plaintextRule('grpcListen', 'POSTERN_GRPC_LISTEN'),
  plaintextRule('httpListen', 'POSTERN_HTTP_LISTEN'),
  {
    reads: ['grpcListen', 'httpListen'],
    for: ['serve', 'sidecar'],
    isBroken: ({ grpcListen, httpListen }) => isSamePlace(grpcListen, httpListen),
    fault: 'POSTERN_HTTP_LISTEN is the same address as POSTERN_GRPC_LISTEN; change one',
  },
  {
    // N07: the gRPC library would send the text of internal errors to callers.
    reads: [],
    for: ['serve'],
    isBroken: (_values, { production, environment }) =>
      production && !['', 'false'].includes(environment['GRPC_NODE_DEBUG_SEND_ERROR_DETAILS'] ?? ''),
    fault: 'GRPC_NODE_DEBUG_SEND_ERROR_DETAILS shows internal errors to callers; remove it in production',
  },
];

/** A line for each rule between settings that does not hold. */
export function brokenSettingRules(read: SettingsRead): string[] {
  return rules
    .filter((rule) => rule.for?.includes(read.purpose) ?? true)
    .filter((rule) => !rule.reads.some((key) => read.faulty.has(key)))
    .filter((rule) => rule.isBroken(read.values, read))
    .map((rule) => rule.fault);
}

/** N10: passwords and tokens must not cross a network in the clear unless someone says that they do not. */
function plaintextRule(key: 'grpcListen' | 'httpListen', name: string): Rule {
  return {
    reads: [key, 'insecure', 'tlsCert'],
    for: ['serve', 'sidecar'],
    isBroken: (values) => !values.insecure && values.tlsCert === null && !staysOnThisMachine(values[key]),
    fault:
      `${name} would take plaintext from other machines; set POSTERN_TLS_CERT and POSTERN_TLS_KEY, ` +
      'listen on 127.0.0.1 or unix:PATH, or set POSTERN_INSECURE=true if what stands in front encrypts',
  };
}

function isSamePlace(one: ListenAddress, other: ListenAddress): boolean {
  if (one.kind === 'unix') return other.kind === 'unix' && one.path === other.path;
  return other.kind === 'tcp' && one.port !== 0 && one.port === other.port && one.host === other.host;
}
