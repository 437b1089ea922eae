import type { LegacyClaimsPolicy } from '../domain/claims/legacy-claims.ts';
import { type ListenAddress, isLocalAddress } from '../net/listen-address.ts';
import type { Network } from '../net/cidr.ts';
import { isRpIdImpossible, passkeySettingsOf } from './passkey-origins.ts';
import type { Secret } from '../domain/secret.ts';
import { leaveRoomForRoles, MAX_ISSUER_AND_AUDIENCE_BYTES } from '../domain/roles.ts';

type Algorithm = 'ES256' | 'RS256' | 'EdDSA' | 'HS256';
export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';

/** Tokens of an earlier login system, signed with this secret, are accepted until this moment (Unix time, ms). */
export interface LegacyHs256 {
  readonly secret: Secret;
  readonly untilMs: number;
  readonly claims: LegacyClaimsPolicy;
}

/** Environment variables. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** One value for each setting, in the order of the documentation. In production mode `databaseUrl` is set. */
export interface SettingValues {
  readonly databaseUrl: Secret | null;
  readonly dataDir: string;
  readonly migrate: 'auto' | 'off';
  readonly grpcListen: ListenAddress;
  readonly httpListen: ListenAddress;
  /** Null: AdminService is served on `grpcListen`. */
  readonly adminListen: ListenAddress | null;
  /** Null for the default, which depends on `socketGroup`. */
  readonly socketMode: number | null;
  /** The name or the number of a group. */
  readonly socketGroup: string | null;
  readonly issuer: string;
  /** The first is the default audience. */
  readonly audiences: readonly [string, ...string[]];
  /** One of `audiences`, or null for the first. In a sidecar, which does not know the audiences, any name. */
  readonly apiAudience: string | null;
  readonly algorithm: Algorithm;
  /**
   * Used as UTF-8 text. Set if and only if the algorithm is HS256; for the purpose `command` it may be null even then.
   */
  readonly secret: Secret | null;
  readonly legacySecret: Secret | null;
  readonly legacyUntilMs: number | null;
  /** The claims that can name the user of a legacy token. */
  readonly legacySubjectClaims: readonly string[];
  /** Null: a legacy token must have no `iss`. */
  readonly legacyIssuers: readonly string[] | null;
  /** Null: a legacy token must have no `aud`. */
  readonly legacyAudiences: readonly string[] | null;
  /**
   * `base64()` returns its 32 bytes. May be null with the embedded database (the data directory has one) and for
   * `command`.
   */
  readonly masterKey: Secret | null;
  readonly masterKeyPrevious: Secret | null;
  readonly accessTokenTtlSeconds: number;
  readonly refreshTokenTtlSeconds: number;
  readonly refreshIdleSeconds: number;
  /** 0 turns the grace period off. */
  readonly refreshGraceSeconds: number;
  readonly refreshTokenForm: '1' | '2';
  readonly sessionsPerUser: number;
  /** Roles that a user's token has only at level `aal2`. */
  readonly secondFactorRoles: readonly string[];
  readonly keyRotationSeconds: number;
  readonly jwksMaxAgeSeconds: number;
  readonly maxStalenessSeconds: number;
  /** 0 turns the cache off. */
  readonly tokenCacheBytes: number;
  readonly hashConcurrency: number;
  readonly passwordMinLength: number;
  /** Null for the default, which depends on the issuer. */
  readonly passkeyOrigins: readonly string[] | null;
  /** Null for the host of the first origin. */
  readonly passkeyRpId: string | null;
  readonly trustedProxies: readonly Network[];
  /** Where keys of trusted issuers may be fetched from beside the public internet. */
  readonly issuerNetworks: readonly Network[];
  readonly maxConnections: number;
  readonly maxApiKeys: number;
  readonly shutdownDelaySeconds: number;
  readonly reflection: boolean;
  /** Which services are served over HTTP as well; `admin` includes `auth`. */
  readonly httpRpc: 'off' | 'auth' | 'admin';
  readonly corsOrigins: readonly string[];
  readonly oauth: boolean;
  readonly passwordDoor: boolean;
  readonly console: boolean;
  readonly clientId: string | null;
  readonly clientSecret: Secret | null;
  readonly tokenFile: string | null;
  readonly tokenServiceAccount: string | null;
  /** The path of a PEM file, as the next two. */
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
  /** The path of a policy file; null checks routes alone. */
  readonly policyFile: string | null;
  /** Null turns traces off. */
  readonly traceEndpoint: string | null;
  readonly logLevel: LogLevel;
}

/**
 * What the settings are loaded for. An invalid value is a fault for every purpose; a missing one only where it is used.
 * `serve` needs all settings. `sidecar` needs its listeners and its upstream. `keys` (commands that open or seal
 * signing keys) needs everything except usable listeners. `command` needs only the database.
 */
export type SettingsPurpose = 'serve' | 'sidecar' | 'keys' | 'command';

export interface SettingsRead {
  readonly values: SettingValues;
  /**
   * Settings whose own value is invalid. A rule that reads one of them is skipped, so that no fault is reported twice.
   */
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

const legacyClaimSettings = [
  'POSTERN_LEGACY_HS256_SUBJECT',
  'POSTERN_LEGACY_HS256_ISSUER',
  'POSTERN_LEGACY_HS256_AUDIENCE',
];

const rules: readonly Rule[] = [
  {
    // K07: without the master key, signing keys can be neither opened nor sealed.
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
      'POSTERN_MASTER_KEY_PREVIOUS needs a different key in POSTERN_MASTER_KEY; set the new key in POSTERN_MASTER_KEY and the old one in POSTERN_MASTER_KEY_PREVIOUS',
  },
  {
    // T26: with a long issuer and audience, the token of a user with many roles would exceed the size limit of tokens.
    // Without this rule, the fault would show only when that user logs in.
    reads: ['issuer', 'audiences'],
    isBroken: ({ issuer, audiences }) => !leaveRoomForRoles(issuer, audiences),
    fault:
      `POSTERN_ISSUER and the longest name of POSTERN_AUDIENCE may have ${MAX_ISSUER_AND_AUDIENCE_BYTES} bytes together; ` +
      'shorten one, because tokens need room for roles',
  },
  {
    // Otherwise no token for the API could be issued and AdminService could not be called. A sidecar gets the audiences
    // from its upstream.
    reads: ['audiences', 'apiAudience'],
    for: ['serve', 'keys', 'command'],
    isBroken: ({ audiences, apiAudience }) => apiAudience !== null && !audiences.includes(apiAudience),
    fault:
      'POSTERN_API_AUDIENCE must be one of POSTERN_AUDIENCE; add it to POSTERN_AUDIENCE, or use a name that is listed there',
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
    fault:
      'POSTERN_SECRET is used only with POSTERN_ALGORITHM=HS256; remove it, or set POSTERN_ALGORITHM=HS256',
  },
  {
    reads: ['legacySecret', 'legacyUntilMs'],
    isBroken: ({ legacySecret, legacyUntilMs }) => (legacySecret === null) !== (legacyUntilMs === null),
    fault: 'POSTERN_LEGACY_HS256_SECRET and POSTERN_LEGACY_HS256_UNTIL go together; set both or neither',
  },
  {
    reads: ['legacySecret', 'legacyUntilMs', 'legacySubjectClaims', 'legacyIssuers', 'legacyAudiences'],
    isBroken: ({ legacySecret, legacyUntilMs }, { environment }) =>
      legacySecret === null &&
      legacyUntilMs === null &&
      legacyClaimSettings.some((name) => environment[name]),
    fault: `${legacyClaimSettings.join(', ')} are used only with POSTERN_LEGACY_HS256_SECRET and POSTERN_LEGACY_HS256_UNTIL; set these, or remove those`,
  },
  {
    reads: ['algorithm', 'legacySecret'],
    isBroken: ({ algorithm, legacySecret }) => algorithm === 'HS256' && legacySecret !== null,
    fault: 'POSTERN_LEGACY_HS256_SECRET cannot be used with POSTERN_ALGORITHM=HS256; remove one',
  },
  {
    reads: ['keyRotationSeconds', 'jwksMaxAgeSeconds'],
    isBroken: ({ keyRotationSeconds, jwksMaxAgeSeconds }) => keyRotationSeconds < jwksMaxAgeSeconds,
    fault:
      'POSTERN_KEY_ROTATION must be at least POSTERN_JWKS_MAX_AGE, because a new key is published for that long before it signs',
  },
  {
    reads: ['clientId', 'clientSecret'],
    isBroken: ({ clientId, clientSecret }) => (clientId === null) !== (clientSecret === null),
    fault: 'POSTERN_CLIENT_ID and POSTERN_CLIENT_SECRET go together; set both or neither',
  },
  {
    reads: ['clientId', 'clientSecret', 'tokenFile'],
    isBroken: ({ clientId, clientSecret, tokenFile }) =>
      tokenFile !== null && (clientId !== null || clientSecret !== null),
    fault:
      'POSTERN_TOKEN_FILE cannot be used with POSTERN_CLIENT_ID and POSTERN_CLIENT_SECRET: it replaces them; remove one or the others',
  },
  {
    reads: ['tokenFile', 'tokenServiceAccount'],
    isBroken: ({ tokenFile, tokenServiceAccount }) => tokenFile === null && tokenServiceAccount !== null,
    fault: 'POSTERN_TOKEN_SERVICE_ACCOUNT is used only with POSTERN_TOKEN_FILE; set it as well, or remove it',
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
    fault: 'POSTERN_TLS_CLIENT_CA needs TLS; also set POSTERN_TLS_CERT and POSTERN_TLS_KEY',
  },
  {
    reads: ['tlsClientCa', 'tlsServiceIdentities', 'tlsAdminIdentities'],
    isBroken: ({ tlsClientCa, tlsServiceIdentities, tlsAdminIdentities }) =>
      tlsClientCa === null && tlsServiceIdentities.length + tlsAdminIdentities.length > 0,
    fault:
      'POSTERN_TLS_SERVICE_IDENTITIES and POSTERN_TLS_ADMIN_IDENTITIES need POSTERN_TLS_CLIENT_CA, ' +
      'the CA certificates that client certificates are verified with; set it as well',
  },
  {
    reads: ['upstreamCert', 'upstreamKey'],
    isBroken: ({ upstreamCert, upstreamKey }) => (upstreamCert === null) !== (upstreamKey === null),
    fault: 'POSTERN_UPSTREAM_CERT and POSTERN_UPSTREAM_KEY go together; set both or neither',
  },
  {
    reads: ['upstreamCa', 'upstreamCert'],
    isBroken: ({ upstreamCa, upstreamCert }) => upstreamCa === null && upstreamCert !== null,
    fault: 'POSTERN_UPSTREAM_CERT needs TLS to the upstream; set POSTERN_UPSTREAM_CA to a file, or to system',
  },
  {
    reads: ['socketMode', 'socketGroup'],
    isBroken: ({ socketMode, socketGroup }) =>
      socketGroup !== null && socketMode !== null && (socketMode & 0o070) === 0,
    fault:
      'POSTERN_SOCKET_GROUP has no effect, because POSTERN_SOCKET_MODE does not let the group connect; ' +
      'set POSTERN_SOCKET_MODE=0660, or remove one',
  },
  {
    reads: ['issuer', 'passkeyOrigins', 'passkeyRpId'],
    for: ['serve'],
    isBroken: isRpIdImpossible,
    fault:
      'POSTERN_PASSKEY_RP_ID, by default the host of the first origin, must be the host of every origin in POSTERN_PASSKEY_ORIGINS ' +
      'or a domain above it, such as example.com for https://login.example.com; correct one of them',
  },
  {
    reads: ['issuer', 'passkeyOrigins', 'passkeyRpId'],
    for: ['serve'],
    isBroken: (values) => values.passkeyRpId !== null && 'disabledBecause' in passkeySettingsOf(values),
    fault:
      'POSTERN_PASSKEY_RP_ID has no effect, because there is no origin for passkeys; set POSTERN_PASSKEY_ORIGINS, or remove it',
  },
  plaintextRule('grpcListen', 'POSTERN_GRPC_LISTEN'),
  plaintextRule('httpListen', 'POSTERN_HTTP_LISTEN'),
  plaintextRule('adminListen', 'POSTERN_ADMIN_LISTEN'),
  {
    reads: ['grpcListen', 'httpListen'],
    for: ['serve', 'sidecar'],
    isBroken: ({ grpcListen, httpListen }) => isSameAddress(grpcListen, httpListen),
    fault: 'POSTERN_HTTP_LISTEN is the same address as POSTERN_GRPC_LISTEN; change one',
  },
  {
    reads: ['grpcListen', 'httpListen', 'adminListen'],
    for: ['serve'],
    isBroken: ({ grpcListen, httpListen, adminListen }) =>
      adminListen !== null &&
      (isSameAddress(adminListen, grpcListen) || isSameAddress(adminListen, httpListen)),
    fault:
      'POSTERN_ADMIN_LISTEN is the same address as POSTERN_GRPC_LISTEN or POSTERN_HTTP_LISTEN; give it one of its own, or remove it',
  },
  {
    // N07: with this variable, the gRPC library sends the text of internal errors to callers.
    reads: [],
    for: ['serve'],
    isBroken: (_values, { production, environment }) =>
      production && !['', 'false'].includes(environment['GRPC_NODE_DEBUG_SEND_ERROR_DETAILS'] ?? ''),
    fault:
      'GRPC_NODE_DEBUG_SEND_ERROR_DETAILS makes the gRPC library send internal errors to callers; remove it in production',
  },
];

/** One line for each broken rule. */
export function brokenSettingRules(read: SettingsRead): string[] {
  return rules
    .filter((rule) => rule.for?.includes(read.purpose) ?? true)
    .filter((rule) => !rule.reads.some((key) => read.faulty.has(key)))
    .filter((rule) => rule.isBroken(read.values, read))
    .map((rule) => rule.fault);
}

/**
 * N10: passwords and tokens must not cross a network in plaintext, unless the operator states that a proxy terminates
 * TLS.
 */
function plaintextRule(key: 'grpcListen' | 'httpListen' | 'adminListen', name: string): Rule {
  return {
    reads: [key, 'insecure', 'tlsCert'],
    for: key === 'adminListen' ? ['serve'] : ['serve', 'sidecar'],
    isBroken: (values) => {
      const address = values[key];
      return !values.insecure && values.tlsCert === null && address !== null && !isLocalAddress(address);
    },
    fault:
      `${name} would accept plaintext from other machines; set POSTERN_TLS_CERT and POSTERN_TLS_KEY, ` +
      'listen on 127.0.0.1 or unix:PATH, or set POSTERN_INSECURE=true if a proxy in front terminates TLS',
  };
}

function isSameAddress(one: ListenAddress, other: ListenAddress): boolean {
  if (one.kind === 'unix') return other.kind === 'unix' && one.path === other.path;
  return other.kind === 'tcp' && one.port !== 0 && one.port === other.port && one.host === other.host;
}
