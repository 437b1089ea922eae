import type { ListenAddress } from '../net/listen-address.ts';
import type { Secret } from '../domain/secret.ts';
import type { SettingsPurpose, SettingValues } from './setting-rules.ts';
import type { SettingParser } from './setting-parsers.ts';
import * as value from './setting-parsers.ts';

/** What a default may depend on. */
interface Surroundings {
  readonly purpose: SettingsPurpose;
  readonly production: boolean;
  readonly cores: number;
}

/** One row of the settings table. `shown` is the default as the documentation prints it. */
export interface Setting<T> {
  readonly name: string;
  readonly shown: string;
  readonly about: string;
  readonly isSecret: boolean;
  readonly parse: SettingParser<T>;
  readonly fallback: (surroundings: Surroundings) => T;
}

/** The documented default is parsed like any other value, so what is printed is what happens. */
function setting<T>(name: string, standard: string, about: string, parse: SettingParser<T>): Setting<T> {
  return { name, shown: `\`${standard}\``, about, isSecret: false, parse, fallback: () => parse(standard) };
}

function optional<T>(name: string, about: string, parse: SettingParser<T>): Setting<T | null> {
  return { name, shown: 'absent', about, isSecret: false, parse, fallback: () => null };
}

/** Also read from the file that `NAME_FILE` names. */
function secret(name: string, about: string, parse: SettingParser<Secret>): Setting<Secret | null> {
  return { ...optional(name, about, parse), isSecret: true };
}

/** Names of client certificates, with commas between them. */
function identities(name: string, about: string): Setting<readonly string[]> {
  return { ...setting(name, '', about, value.clientNames), shown: 'none', fallback: () => [] };
}

/** A sidecar has ports of its own, so that it runs beside `serve`. */
function listener(
  name: string,
  standard: { serve: string; sidecar: string },
  about: string,
): Setting<ListenAddress> {
  return {
    ...setting(name, standard.serve, about, value.listenAddress),
    shown: `\`${standard.serve}\`; sidecar \`${standard.sidecar}\``,
    fallback: ({ purpose }) => value.listenAddress(purpose === 'sidecar' ? standard.sidecar : standard.serve),
  };
}

/** Every setting, in the order of the documentation; a new one is a row here and its type in `SettingValues`. */
export const settingRows: { readonly [K in keyof SettingValues]: Setting<SettingValues[K]> } = {
  databaseUrl: secret(
    'DATABASE_URL',
    'PostgreSQL, as `postgres://user:password@host/database`; `sslmode` and `sslrootcert` as in libpq. Of several hosts, ' +
      '`host1:5432,host2:5432`, the one that writes is used (as with `target_session_attrs=read-write`). Without it ' +
      'an embedded PostgreSQL runs in `POSTERN_DATA_DIR`. Setting it is what this page calls production',
    value.databaseUrl,
  ),
  dataDir: setting(
    'POSTERN_DATA_DIR',
    '.postern',
    'Where the embedded database and its master key live',
    value.directory,
  ),
  migrate: setting(
    'POSTERN_MIGRATE',
    'auto',
    '`auto`: `serve` brings the schema up to date; `off`: it refuses to start on another schema',
    value.oneOf('auto', 'off'),
  ),
  grpcListen: listener(
    'POSTERN_GRPC_LISTEN',
    { serve: '127.0.0.1:50051', sidecar: '127.0.0.1:50061' },
    'Where gRPC calls are accepted: `HOST:PORT` (port 0: any free one), `[IPV6]:PORT` or `unix:PATH`',
  ),
  httpListen: listener(
    'POSTERN_HTTP_LISTEN',
    { serve: '127.0.0.1:8080', sidecar: '127.0.0.1:8081' },
    'Where the key set, health and metrics are served; written like `POSTERN_GRPC_LISTEN`',
  ),
  issuer: setting(
    'POSTERN_ISSUER',
    'http://127.0.0.1:8080',
    'The `iss` of every token, an http or https URL',
    value.issuer,
  ),
  audiences: setting(
    'POSTERN_AUDIENCE',
    'postern',
    'Who tokens are for, with commas between the names; the first is the default',
    value.audiences,
  ),
  apiAudience: {
    ...optional(
      'POSTERN_API_AUDIENCE',
      'The one of `POSTERN_AUDIENCE` whose tokens administer, watch and change passwords: nobody who is handed a token ' +
        'for something else can do that with it. In a sidecar, what its service account asks for',
      value.audience,
    ),
    shown: 'the first of `POSTERN_AUDIENCE`',
  },
  algorithm: setting(
    'POSTERN_ALGORITHM',
    'ES256',
    'How tokens are signed: `ES256`, `RS256`, `EdDSA`, or `HS256` with `POSTERN_SECRET`',
    value.oneOf('ES256', 'RS256', 'EdDSA', 'HS256'),
  ),
  secret: secret(
    'POSTERN_SECRET',
    'The shared secret of `HS256`, at least 32 bytes, used as text and never decoded (`openssl rand -hex 32`)',
    value.sharedSecret,
  ),
  legacySecret: secret(
    'POSTERN_LEGACY_HS256_SECRET',
    'Also accept the `HS256` tokens that an earlier login signed with this secret',
    value.sharedSecret,
  ),
  legacyUntilMs: optional(
    'POSTERN_LEGACY_HS256_UNTIL',
    'When that ends: a date (its first instant in UTC) or a time such as `2027-01-31T12:00:00Z`',
    value.momentMs,
  ),
  masterKey: secret(
    'POSTERN_MASTER_KEY',
    '32 bytes in base64 (`openssl rand -base64 32`) that seal the keys in the database. Required in production; ' +
      'the embedded database makes its own',
    value.masterKey,
  ),
  masterKeyPrevious: secret(
    'POSTERN_MASTER_KEY_PREVIOUS',
    'The master key before this one, while keys are re-sealed',
    value.masterKey,
  ),
  accessTokenTtlSeconds: setting(
    'POSTERN_ACCESS_TOKEN_TTL',
    '10m',
    'How long an access token is good, `1s` to `24h`',
    value.seconds('1s', '24h'),
  ),
  refreshTokenTtlSeconds: setting(
    'POSTERN_REFRESH_TOKEN_TTL',
    '30d',
    'How long a session lasts from login, refreshed or not, `1s` to `3650d`',
    value.seconds('1s', '3650d'),
  ),
  refreshIdleSeconds: setting(
    'POSTERN_REFRESH_IDLE',
    '14d',
    'How long a session lasts without a refresh, `1s` to `3650d`',
    value.seconds('1s', '3650d'),
  ),
  refreshGraceSeconds: setting(
    'POSTERN_REFRESH_GRACE',
    '10s',
    'How long a refresh token gives the same successor again after its first use (a lost answer, many tabs), up to ' +
      '`1m`, a hundred times in a row; `0s`: any second use ends the session',
    value.seconds('0s', '1m'),
  ),
  sessionsPerUser: setting(
    'POSTERN_SESSIONS_PER_USER',
    '100',
    'Live sessions of one user, 1 to 10000; a further login ends the oldest',
    value.count(1, 10_000),
  ),
  keyRotationSeconds: setting(
    'POSTERN_KEY_ROTATION',
    '30d',
    'How long a signing key signs before the next takes over; not below `POSTERN_JWKS_MAX_AGE`',
    value.seconds('1s', '3650d'),
  ),
  jwksMaxAgeSeconds: setting(
    'POSTERN_JWKS_MAX_AGE',
    '10m',
    'How long others may cache the key set, and so how long a new key is published before it signs, `1s` to `24h`',
    value.seconds('1s', '24h'),
  ),
  maxStalenessSeconds: setting(
    'POSTERN_MAX_STALENESS',
    '5m',
    'How long verification goes on without news of revocations, `1s` to `24h`; then it answers UNAVAILABLE. Alert at 60 s',
    value.seconds('1s', '24h'),
  ),
  tokenCacheBytes: setting(
    'POSTERN_TOKEN_CACHE',
    '64MiB',
    'Memory for tokens already verified; `0` turns it off',
    value.bytesUpTo('16GiB'),
  ),
  hashConcurrency: {
    ...setting('POSTERN_HASH_CONCURRENCY', '1', 'Passwords hashed at once, 1 to 256', value.count(1, 256)),
    shown: 'cores − 1, at least 1',
    fallback: ({ cores }) => Math.max(1, cores - 1),
  },
  passwordMinLength: setting(
    'POSTERN_PASSWORD_MIN_LENGTH',
    '12',
    'Characters in a new password, 8 to 64',
    value.count(8, 64),
  ),
  trustedProxies: {
    ...setting(
      'POSTERN_TRUSTED_PROXIES',
      '',
      'Networks (`192.0.2.0/24,2001:db8::/32`) whose callers are believed in what they say of `client`, as service accounts are',
      value.networks,
    ),
    shown: 'none',
    fallback: () => [],
  },
  maxConnections: setting(
    'POSTERN_MAX_CONNECTIONS',
    '10000',
    'gRPC connections at once, 10 to 1000000, a quarter of them from one address; for one more the oldest is closed that has called nothing, or itself',
    value.count(10, 1_000_000),
  ),
  shutdownDelaySeconds: setting(
    'POSTERN_SHUTDOWN_DELAY',
    '0s',
    'How long calls are still answered after SIGTERM, while health and `/readyz` already say no, up to `60s`',
    value.seconds('0s', '60s'),
  ),
  reflection: {
    ...setting(
      'POSTERN_REFLECTION',
      'on',
      'Whether gRPC reflection tells callers the contract',
      value.toggle,
    ),
    shown: '`on`; in production and in a sidecar `off`',
    fallback: ({ production, purpose }) => !production && purpose !== 'sidecar',
  },
  clientId: optional(
    'POSTERN_CLIENT_ID',
    'The service account as which a sidecar watches, as `postern service create` printed it',
    value.name,
  ),
  clientSecret: secret('POSTERN_CLIENT_SECRET', 'Its secret', value.clientSecret),
  tlsCert: optional(
    'POSTERN_TLS_CERT',
    'A file with the certificate of both listeners and what leads from it to its authority, PEM; turns TLS on',
    value.directory,
  ),
  tlsKey: optional(
    'POSTERN_TLS_KEY',
    'The file of its private key, PEM, without a passphrase',
    value.directory,
  ),
  tlsClientCa: optional(
    'POSTERN_TLS_CLIENT_CA',
    'A file with the authorities of client certificates, PEM; every gRPC client must then show one',
    value.directory,
  ),
  tlsServiceIdentities: identities(
    'POSTERN_TLS_SERVICE_IDENTITIES',
    'URIs and DNS names (`spiffe://example.org/api,api.example.org`) whose certificate lets watch and say who the `client` of a login is, as a service account does',
  ),
  tlsAdminIdentities: identities(
    'POSTERN_TLS_ADMIN_IDENTITIES',
    'URIs and DNS names whose certificate lets administer; not one of a proxy, which would lend it to its callers',
  ),
  upstreamCa: optional(
    'POSTERN_UPSTREAM_CA',
    'A file with the authorities that vouch for the upstream of a sidecar, PEM, or `system`; turns TLS to it on',
    value.directory,
  ),
  upstreamCert: optional(
    'POSTERN_UPSTREAM_CERT',
    'A file with the client certificate that a sidecar shows to its upstream, PEM',
    value.directory,
  ),
  upstreamKey: optional('POSTERN_UPSTREAM_KEY', 'The file of its private key, PEM', value.directory),
  insecure: setting(
    'POSTERN_INSECURE',
    'off',
    'Allow plaintext beyond this machine, when something in front encrypts',
    value.toggle,
  ),
  traceEndpoint: optional(
    'OTEL_EXPORTER_OTLP_ENDPOINT',
    'A collector that takes traces by OTLP over HTTP, such as `http://127.0.0.1:4318`. Without it there are none',
    value.collector,
  ),
  logLevel: setting(
    'POSTERN_LOG_LEVEL',
    'info',
    '`fatal`, `error`, `warn`, `info`, `debug`, `trace` or `silent`; from `debug` on, commands print stack traces',
    value.oneOf('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'),
  ),
};
