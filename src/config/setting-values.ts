import type { LegacyClaimsPolicy } from '../domain/claims/legacy-claims.ts';
import type { ListenAddress, UnixListenAddress } from '../net/listen-address.ts';
import type { Network } from '../net/cidr.ts';
import type { Secret } from '../domain/secret.ts';

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
  /** `daily`: only the first refresh of a session each day is in the audit trail. */
  readonly auditRefreshes: 'all' | 'daily';
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
  /** Null: channelz is not served. */
  readonly channelzListen: UnixListenAddress | null;
  /** Which services are served over HTTP as well; `admin` includes `auth`. */
  readonly httpRpc: 'off' | 'auth' | 'admin';
  readonly corsOrigins: readonly string[];
  readonly oauth: boolean;
  readonly passwordDoor: boolean;
  /** Null for the default, which depends on where AdminService is served. */
  readonly console: boolean | null;
  /** Null: the console is served on `httpListen`. */
  readonly consoleListen: ListenAddress | null;
  /** In lower case. */
  readonly httpHosts: readonly string[];
  readonly clientId: string | null;
  readonly clientSecret: Secret | null;
  readonly tokenFile: string | null;
  readonly tokenServiceAccount: string | null;
  /** Whether a sidecar serves WatchTrust on. */
  readonly relay: boolean;
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
  /** As it is set; `Settings.telemetry` has the URL of each signal. */
  readonly otlpEndpoint: string | null;
  readonly logLevel: LogLevel;
}

/**
 * What the settings are loaded for. An invalid value is a fault for every purpose; a missing one only where it is used.
 * `serve` needs all settings. `sidecar` needs its listeners and its upstream. `keys` (commands that open or seal
 * signing keys) needs everything except usable listeners. `command` needs only the database.
 */
export type SettingsPurpose = 'serve' | 'sidecar' | 'keys' | 'command';
