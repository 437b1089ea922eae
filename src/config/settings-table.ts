import { identities, listener, optional, secret, type Setting, setting } from './setting-row.ts';
import { httpSettingRows } from './http-settings.ts';
import { passkeySettingRows } from './passkey-settings.ts';
import type { SettingValues } from './setting-values.ts';
import * as value from './setting-parsers.ts';
import { endpoint as otlpEndpoint } from './telemetry/telemetry-parsers.ts';
import { tokenSettingRows } from './token-settings.ts';

/** Every setting, in the order of the documentation. A new setting needs a row here and its type in `SettingValues`. */
export const settingRows: { readonly [K in keyof SettingValues]: Setting<SettingValues[K]> } = {
  databaseUrl: secret(
    'DATABASE_URL',
    'The PostgreSQL database, `postgres://user:password@host/database`, [as for libpq](operations.md#database_url), `sslmode` ' +
      'and `sslrootcert` included. Of several hosts, `host1:5432,host2:5432`, Postern uses the primary, as libpq does with ' +
      '`target_session_attrs=read-write`. When absent, an embedded PostgreSQL runs in `POSTERN_DATA_DIR`. When set, ' +
      'the process runs in production mode.',
    value.databaseUrl,
  ),
  dataDir: setting(
    'POSTERN_DATA_DIR',
    '.postern',
    'The directory of the embedded database and its master key.',
    value.path,
  ),
  migrate: setting(
    'POSTERN_MIGRATE',
    'auto',
    '`auto`: `serve` applies missing migrations at start. `off`: `serve` refuses to start unless the schema is up to date.',
    value.oneOf('auto', 'off'),
  ),
  grpcListen: listener(
    'POSTERN_GRPC_LISTEN',
    { serve: '127.0.0.1:50051', sidecar: '127.0.0.1:50061' },
    'The address of the gRPC listener: `HOST:PORT` (port 0 takes any free port), `[IPV6]:PORT` or `unix:PATH`.',
  ),
  httpListen: listener(
    'POSTERN_HTTP_LISTEN',
    { serve: '127.0.0.1:8080', sidecar: '127.0.0.1:8081' },
    'The address of the HTTP listener, which serves the key set, health and metrics. Same forms as `POSTERN_GRPC_LISTEN`.',
  ),
  adminListen: optional(
    'POSTERN_ADMIN_LISTEN',
    'The address of a second gRPC listener, for administrators: it serves AdminService and AuthService. When set, AdminService ' +
      'is served nowhere else. Same forms as `POSTERN_GRPC_LISTEN`. When absent, `POSTERN_GRPC_LISTEN` serves AdminService.',
    value.listenAddress,
  ),
  socketMode: {
    ...optional(
      'POSTERN_SOCKET_MODE',
      'The permissions of the sockets of `unix:PATH` listeners, whatever the umask: `0600` (only the user of the process may ' +
        'connect), `0660` (its group as well) or `0666` (every user of this machine). A caller through a socket needs no ' +
        'credential for WatchTrust.',
      value.socketMode,
    ),
    displayedDefault: '`0600`; with `POSTERN_SOCKET_GROUP` `0660`',
  },
  socketGroup: optional(
    'POSTERN_SOCKET_GROUP',
    'The group of the sockets of `unix:PATH` listeners, such as that of a proxy: a name in `/etc/group` or a number. The user ' +
      'of the process must be a member, or root.',
    value.group,
  ),
  ...tokenSettingRows,
  tokenCacheBytes: {
    ...setting(
      'POSTERN_TOKEN_CACHE',
      '64MiB',
      'The memory of the verification cache, which holds tokens already verified. `0` turns the cache off.',
      value.bytesUpTo('16GiB'),
    ),
    displayedDefault: '`64MiB`, or a sixteenth of the memory if that is less',
    fallback: ({ sizes }) => sizes.tokenCacheBytes,
  },
  hashConcurrency: {
    ...setting(
      'POSTERN_HASH_CONCURRENCY',
      '1',
      'The maximum number of passwords hashed at once, 1 to 256. Each takes 34 MiB.',
      value.count(1, 256),
    ),
    displayedDefault: 'cores − 1 or as many as [fit in the memory](operations.md#memory), at least 1',
    fallback: ({ sizes }) => sizes.hashConcurrency,
  },
  passwordMinLength: setting(
    'POSTERN_PASSWORD_MIN_LENGTH',
    '12',
    'The minimum length of a new password in characters, 8 to 64.',
    value.count(8, 64),
  ),
  ...passkeySettingRows,
  trustedProxies: {
    ...setting(
      'POSTERN_TRUSTED_PROXIES',
      '',
      'CIDR ranges of proxies (`192.0.2.0/24,2001:db8::/32`) whose `client.address` over gRPC is trusted, as that of service accounts is, and whose `x-forwarded-for` is read.',
      value.networks,
    ),
    displayedDefault: 'none',
    fallback: () => [],
  },
  issuerNetworks: {
    ...setting(
      'POSTERN_ISSUER_NETWORKS',
      '',
      'CIDR ranges (`10.96.0.1/32`) beside the public internet from which the keys of [trusted issuers](workloads.md) may be ' +
        'fetched. Addresses of this machine and of private networks are refused unless one of these ranges has them.',
      value.networks,
    ),
    displayedDefault: 'none',
    fallback: () => [],
  },
  maxConnections: {
    ...setting(
      'POSTERN_MAX_CONNECTIONS',
      '10000',
      'The maximum number of gRPC connections, 10 to 1000000. One address can have a quarter of them. A connection beyond ' +
        'the limit replaces the oldest one that has made no call; if there is none, it is closed itself.',
      value.count(10, 1_000_000),
    ),
    displayedDefault: '`10000`, or as many as [fit in the memory](operations.md#memory) and `ulimit -n`',
    fallback: ({ sizes }) => sizes.maxConnections,
  },
  maxApiKeys: setting(
    'POSTERN_API_KEYS_MAX',
    '200000',
    'The maximum number of [API keys](api-keys.md), 0 to 1000000. Every instance holds all of them in memory.',
    value.count(0, 1_000_000),
  ),
  shutdownDelaySeconds: setting(
    'POSTERN_SHUTDOWN_DELAY',
    '0s',
    'How long after SIGTERM calls are still answered, up to `60s`. Health and `/readyz` report not ready from SIGTERM on.',
    value.seconds('0s', '60s'),
  ),
  reflection: {
    ...setting('POSTERN_REFLECTION', 'on', 'Whether gRPC reflection is served.', value.toggle),
    displayedDefault: '`on`; in production and in a sidecar `off`',
    fallback: ({ production, purpose }) => !production && purpose !== 'sidecar',
  },
  channelzListen: optional(
    'POSTERN_CHANNELZ_LISTEN',
    'The unix socket, `unix:PATH`, on which gRPC [channelz](probes.md#connections-and-calls-by-channelz) is served: the ' +
      'connections of this process with the addresses of their peers, and counts of their calls. Never served elsewhere.',
    value.unixListenAddress,
  ),
  ...httpSettingRows,
  clientId: optional(
    'POSTERN_CLIENT_ID',
    'The service account with which a sidecar calls WatchTrust: the client id that `postern service create` printed.',
    value.clientId,
  ),
  clientSecret: secret('POSTERN_CLIENT_SECRET', 'The secret of `POSTERN_CLIENT_ID`.', value.clientSecret),
  tokenFile: optional(
    'POSTERN_TOKEN_FILE',
    'A file with a token of the workload, such as a projected token of Kubernetes, which a sidecar exchanges for a token of ' +
      'the service account that it is bound to. Instead of `POSTERN_CLIENT_ID` and `POSTERN_CLIENT_SECRET`. Read again at each ' +
      'renewal.',
    value.path,
  ),
  tokenServiceAccount: optional(
    'POSTERN_TOKEN_SERVICE_ACCOUNT',
    'The id or the name of the service account, when the identity in `POSTERN_TOKEN_FILE` is bound to several.',
    value.clientId,
  ),
  relay: setting(
    'POSTERN_RELAY',
    'off',
    'Whether a sidecar is a [relay](scaling.md#relays): it serves WatchTrust and ResolveApiKey on, to verifiers and to other relays.',
    value.toggle,
  ),
  tlsCert: optional(
    'POSTERN_TLS_CERT',
    "A PEM file with the listeners' certificate, followed by its intermediate certificates. Turns TLS on for all listeners.",
    value.path,
  ),
  tlsKey: optional(
    'POSTERN_TLS_KEY',
    'A PEM file with the private key of `POSTERN_TLS_CERT`, without a passphrase.',
    value.path,
  ),
  tlsClientCa: optional(
    'POSTERN_TLS_CLIENT_CA',
    'A PEM file with the CA certificates for client certificates. When set, every gRPC client must present a certificate ' +
      'of one of them (mutual TLS).',
    value.path,
  ),
  tlsServiceIdentities: identities(
    'POSTERN_TLS_SERVICE_IDENTITIES',
    'URIs and DNS names of client certificates (`spiffe://example.org/api,api.example.org`) that may do what a service ' +
      'account may: call WatchTrust, and set the `client` of a login.',
  ),
  tlsAdminIdentities: identities(
    'POSTERN_TLS_ADMIN_IDENTITIES',
    "URIs and DNS names of client certificates that may call AdminService. Do not list a proxy: all of the proxy's callers " +
      'would become administrators.',
  ),
  upstreamCa: optional(
    'POSTERN_UPSTREAM_CA',
    "A PEM file with the CA certificates for the sidecar's upstream, or `system` for those that Node.js trusts by default. Turns " +
      'TLS to the upstream on.',
    value.path,
  ),
  upstreamCert: optional(
    'POSTERN_UPSTREAM_CERT',
    'A PEM file with the client certificate that a sidecar presents to its upstream.',
    value.path,
  ),
  upstreamKey: optional(
    'POSTERN_UPSTREAM_KEY',
    'A PEM file with the private key of `POSTERN_UPSTREAM_CERT`.',
    value.path,
  ),
  insecure: setting(
    'POSTERN_INSECURE',
    'off',
    'Allow plaintext to and from other machines: on the listeners, and from a sidecar to its upstream. For deployments ' +
      'where a proxy encrypts.',
    value.toggle,
  ),
  policyFile: optional(
    'POSTERN_POLICY_FILE',
    'A [policy file](policy.md), which says who may call which method. `Check` applies it to each request that a proxy asks ' +
      'about. It is read again when it changes.',
    value.path,
  ),
  otlpEndpoint: optional(
    'OTEL_EXPORTER_OTLP_ENDPOINT',
    'The OpenTelemetry collector to which traces are sent by OTLP, such as `http://127.0.0.1:4318`. When absent, none are ' +
      'recorded. [Telemetry](telemetry.md#variables) has all variables of OpenTelemetry.',
    otlpEndpoint,
  ),
  logLevel: setting(
    'POSTERN_LOG_LEVEL',
    'info',
    'The lowest level that is logged: `fatal`, `error`, `warn`, `info`, `debug`, `trace` or `silent`. With `debug` and ' +
      '`trace`, failing commands print stack traces.',
    value.oneOf('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'),
  ),
};
