/** One metric as it is documented and served. */
export interface MetricDefinition {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly labels: readonly string[];
  readonly help: string;
}

/**
 * All metrics of `/metrics`. Dashboards and alerts depend on names and labels, so these never change. `/metrics` is as
 * public as the JWKS on the same listener, so no metric may reveal anything about one user, not even whether the e-mail
 * of a failed login belongs to an account.
 */
export const metricDefinitions = {
  calls: counter(
    'postern_rpc_calls_total',
    'Finished calls, by method and gRPC status code.',
    'method',
    'code',
  ),
  refusals: counter(
    'postern_rpc_refusals_total',
    'Refused calls, by method and ErrorInfo reason.',
    'method',
    'reason',
  ),
  callDuration: histogram('postern_rpc_duration_seconds', 'Duration of unary calls, by method.', 'method'),
  openStreams: gauge(
    'postern_rpc_streams',
    'Open streams, by kind: anonymous (Health/Watch, reflection, calls whose request has not arrived yet) or watching (WatchTrust).',
    'kind',
  ),
  connectionsClosed: counter(
    'postern_connections_closed_total',
    'Connections closed because a connection limit of their listener was reached.',
    'listener',
  ),
  handshakesFailed: counter(
    'postern_handshakes_failed_total',
    'Connections that ended before their first request, by listener and reason: no-certificate, expired-certificate, untrusted-certificate or invalid-certificate (client certificate), certificate-refused (by the caller), plaintext (instead of TLS), tls (instead of plaintext), not-http2, no-common-protocol, timeout, left or other.',
    'listener',
    'reason',
  ),
  connectionsRetired: counter(
    'postern_connections_retired_total',
    'gRPC connections closed with GOAWAY because too many of their calls were reset, by expiring deadlines or by a flood.',
  ),
  logins: counter(
    'postern_logins_total',
    'Logins with a password or a passkey, by outcome: ok, challenged (right password, and a second factor is required), refused (wrong credentials), throttled (rate limit), overloaded (hashing queue full), malformed (invalid request) or failed (anything else).',
    'outcome',
  ),
  stepUps: counter(
    'postern_step_ups_total',
    'Calls of StepUp, by outcome: ok, refused (wrong credentials), throttled (rate limit), malformed (invalid request) or failed (anything else).',
    'outcome',
  ),
  secondFactors: counter(
    'postern_second_factors_total',
    'Second factors that were checked in Login and StepUp, by kind (totp, recovery or passkey) and outcome: ok, or refused (wrong, too old or used). Logins with a passkey alone count only in postern_logins_total.',
    'kind',
    'outcome',
  ),
  factorChanges: counter(
    'postern_factor_changes_total',
    'Changes of second factors by RPC, by change: totp-added, passkey-added, deleted, reset (by an administrator) or recovery-codes-replaced.',
    'change',
  ),
  refreshes: counter(
    'postern_refreshes_total',
    'Token refreshes, by outcome: rotated, repeated (same token again within the grace period), reused (token reuse, which ended the session), refused, throttled (repeated too often), malformed (invalid request) or failed (anything else).',
    'outcome',
  ),
  revocations: counter(
    'postern_revocations_total',
    'Revocations made by this process, by kind: session, token or key. Logouts and token reuse count as well.',
    'kind',
  ),
  revocationsLive: gauge(
    'postern_revocations_live',
    'Revocations held in memory. Absent until the first list is loaded.',
  ),
  revocationDelay: histogram(
    'postern_revocation_delay_seconds',
    "Time from the start of a revocation's transaction until this process has read it from the database, by the database's clock. Its own revocations a process enforces earlier, when they are committed.",
  ),
  trustAge: gauge(
    'postern_trust_age_seconds',
    'Age of the known revocations. +Inf until the first list is loaded.',
  ),
  trustState: gauge(
    'postern_trust_state',
    'State of the keys and revocations, 1 for the current one: loading, fresh or stale.',
    'state',
  ),
  watchers: gauge('postern_trust_watchers', 'Open WatchTrust streams of verifiers and relays.'),
  upstreamConnected: gauge(
    'postern_upstream_connected',
    'Whether the WatchTrust stream of this sidecar to its upstream is open (1) or not (0).',
  ),
  cacheHits: counter('postern_token_cache_hits_total', 'Access tokens found in the verification cache.'),
  cacheMisses: counter(
    'postern_token_cache_misses_total',
    'Access tokens not found in the verification cache.',
  ),
  cacheEntries: gauge('postern_token_cache_entries', 'Access tokens in the verification cache.'),
  cacheBytes: gauge('postern_token_cache_bytes', 'Memory used by the verification cache, in bytes.'),
  hashRunning: gauge('postern_hash_running', 'Password hashes being computed.'),
  hashQueued: gauge('postern_hash_queued', 'Password hashes waiting in the queue.'),
  hashRefused: counter(
    'postern_hash_refused_total',
    'Password hashes refused because the queue was full or the deadline of the call too near.',
  ),
  hashAverage: gauge('postern_hash_average_seconds', 'Moving average of the duration of one password hash.'),
  poolConnections: gauge(
    'postern_db_pool',
    'Database connections by pool and state: used, free, or waiting (requests that wait for a connection).',
    'pool',
    'state',
  ),
  poolMax: gauge('postern_db_pool_max', 'Maximum number of database connections, by pool.', 'pool'),
  databaseReachable: gauge(
    'postern_db_reachable',
    'Whether the last check of the database succeeded (1) or not (0).',
  ),
  circuitOpen: gauge(
    'postern_db_circuit_open',
    'Whether the circuit breaker is open (1): the database did not answer, and calls that need it are refused.',
  ),
  clockOffset: gauge(
    'postern_clock_offset_seconds',
    "How far this machine's clock is ahead of the database's. Negative when it is behind.",
  ),
  keys: gauge(
    'postern_signing_keys',
    'Published signing keys, by state: pending, active or retired. Absent until the keys are loaded.',
    'state',
  ),
  keysRefused: gauge(
    'postern_signing_keys_refused',
    'Stored signing keys that this process ignores, because the row was altered or was encrypted with another master key.',
  ),
  keyAge: gauge('postern_signing_key_age_seconds', 'Time since the active signing key was activated.'),
  keyRotation: gauge(
    'postern_signing_key_rotation_seconds',
    'Time after which a signing key is replaced (POSTERN_KEY_ROTATION).',
  ),
  keySteps: counter(
    'postern_signing_key_steps_total',
    'Steps of signing key rotation made by this process, by step: prepare, activate or remove.',
    'step',
  ),
  apiKeys: gauge('postern_api_keys', 'Valid API keys in memory, and expired ones that are not purged yet.'),
  purgedRows: counter('postern_purged_rows_total', 'Expired database rows deleted by this process.'),
  certificateExpiry: gauge(
    'postern_tls_certificate_expiry_timestamp_seconds',
    "Expiry time of the listeners' TLS certificate, in Unix time. Absent in plaintext.",
  ),
  linesLost: counter(
    'postern_log_lines_lost_total',
    'Log lines dropped because the reader of standard error was too slow or the disk was full.',
  ),
  exportFailures: counter(
    'postern_telemetry_export_failures_total',
    'Exports of telemetry that the collector did not take, by signal: traces or metrics. Absent for a signal that is not sent.',
    'signal',
  ),
  eventLoopLag: histogram('postern_event_loop_lag_seconds', 'How late a 100 ms timer fired.'),
  eventLoopBusy: counter(
    'postern_event_loop_busy_seconds_total',
    'Time during which the event loop was not idle.',
  ),
  cpu: counter('process_cpu_seconds_total', 'CPU time of the process, all threads.'),
  residentMemory: gauge('process_resident_memory_bytes', 'Resident memory of the process, in bytes.'),
  startTime: gauge('process_start_time_seconds', 'Start time of the process, in Unix time.'),
  heapUsed: gauge('nodejs_heap_size_used_bytes', 'JavaScript heap in use, in bytes.'),
  externalMemory: gauge(
    'nodejs_external_memory_bytes',
    'Memory of buffers outside the JavaScript heap, in bytes.',
  ),
} as const satisfies Readonly<Record<string, MetricDefinition>>;

export type MetricKey = keyof typeof metricDefinitions;

/** The metrics as a Markdown table, for docs/metrics.md. */
export function metricsTable(): string {
  const lines = Object.values(metricDefinitions).map(({ name, type, labels, help }: MetricDefinition) => {
    const braces = labels.length === 0 ? '' : `{${labels.join(',')}}`;
    return `| \`${name}${braces}\` | ${type} | ${help} |`;
  });
  return ['| metric | type | meaning |', '|---|---|---|', ...lines, ''].join('\n');
}

function counter(name: string, help: string, ...labels: string[]): MetricDefinition {
  return { name, type: 'counter', labels, help };
}

function gauge(name: string, help: string, ...labels: string[]): MetricDefinition {
  return { name, type: 'gauge', labels, help };
}

function histogram(name: string, help: string, ...labels: string[]): MetricDefinition {
  return { name, type: 'histogram', labels, help };
}
