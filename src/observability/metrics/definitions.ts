/** One metric as it is documented and served. */
export interface MetricDefinition {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly labels: readonly string[];
  readonly help: string;
}

/**
 * Every metric of `/metrics`. Names and labels are a promise to dashboards and alerts. `/metrics` is as public as the key
 * set beside it, so that no row may tell of one user: not even whether an e-mail that failed belongs to somebody.
 */
export const metricDefinitions = {
  calls: counter('postern_rpc_calls_total', 'Calls that ended, by gRPC status', 'method', 'code'),
  refusals: counter('postern_rpc_refusals_total', 'Refused calls, by ErrorInfo reason', 'method', 'reason'),
  callDuration: histogram('postern_rpc_duration_seconds', 'How long unary calls took', 'method'),
  openStreams: gauge(
    'postern_rpc_streams',
    'Open streams: anonymous (Health/Watch, reflection, requests that are slow to come), watching (WatchTrust)',
    'kind',
  ),
  connectionsClosed: counter(
    'postern_connections_closed_total',
    'Connections that were closed because their listener had all that it takes',
    'listener',
  ),
  connectionsRetired: counter(
    'postern_connections_retired_total',
    'gRPC connections that were told to go because too many of their calls were reset: deadlines that expire, or a flood',
  ),
  logins: counter(
    'postern_logins_total',
    'Logins: ok, refused (wrong credentials), throttled, overloaded, malformed (not a valid request), failed (anything else)',
    'outcome',
  ),
  refreshes: counter(
    'postern_refreshes_total',
    'Refreshes: rotated, repeated (within the grace time), reused (the session ended), refused, throttled (repeated too often), malformed, failed',
    'outcome',
  ),
  revocations: counter(
    'postern_revocations_total',
    'Sessions, tokens and keys that this process revoked: logouts, ended sessions, reuse',
    'kind',
  ),
  revocationsLive: gauge(
    'postern_revocations_live',
    'Revocations in memory; absent before the first list of them',
  ),
  revocationDelay: histogram(
    'postern_revocation_delay_seconds',
    "From a revocation's transaction to this process refusing by it, by the database's clock",
  ),
  trustAge: gauge('postern_trust_age_seconds', 'Age of the news of revocations; +Inf before the first'),
  trustState: gauge('postern_trust_state', '1 for the state that holds: loading, fresh, stale', 'state'),
  watchers: gauge('postern_trust_watchers', 'Verifiers that watch this process'),
  upstreamConnected: gauge(
    'postern_upstream_connected',
    'Of a sidecar: whether the stream from the central service is open',
  ),
  cacheHits: counter('postern_token_cache_hits_total', 'Tokens that were seen before'),
  cacheMisses: counter('postern_token_cache_misses_total', 'Tokens that were not'),
  cacheEntries: gauge('postern_token_cache_entries', 'Tokens remembered'),
  cacheBytes: gauge('postern_token_cache_bytes', 'What they take'),
  hashRunning: gauge('postern_hash_running', 'Passwords being hashed'),
  hashQueued: gauge('postern_hash_queued', 'Passwords waiting for that'),
  hashRefused: counter(
    'postern_hash_refused_total',
    'Hashes refused because the queue was full or the deadline near',
  ),
  hashAverage: gauge('postern_hash_average_seconds', 'Moving average of one hash'),
  poolConnections: gauge(
    'postern_db_pool',
    'Connections of a pool that are used or free, and uses that wait for one',
    'pool',
    'state',
  ),
  poolMost: gauge('postern_db_pool_max', 'Connections that a pool may have', 'pool'),
  databaseReachable: gauge('postern_db_reachable', 'Whether the last look at the database succeeded'),
  circuitOpen: gauge('postern_db_circuit_open', 'Whether calls are refused because the database was silent'),
  clockOffset: gauge(
    'postern_clock_offset_seconds',
    "By how much the clock of this process's machine is ahead of the database's",
  ),
  keys: gauge(
    'postern_signing_keys',
    'Published keys: pending, active, retired; absent before they are known',
    'state',
  ),
  keysRefused: gauge(
    'postern_signing_keys_refused',
    'Stored signing keys that this process leaves out: their rows were altered, or another master key sealed them',
  ),
  keyAge: gauge('postern_signing_key_age_seconds', 'How long the active key has signed'),
  keyRotation: gauge('postern_signing_key_rotation_seconds', 'After how long it is to be replaced'),
  keySteps: counter(
    'postern_signing_key_steps_total',
    'Steps of the rotation that this process took: prepare, activate, remove',
    'step',
  ),
  purgedRows: counter('postern_purged_rows_total', 'Expired rows that this process deleted'),
  certificateExpiry: gauge(
    'postern_tls_certificate_expiry_timestamp_seconds',
    "When the listeners' certificate ends; absent in plaintext",
  ),
  linesLost: counter(
    'postern_log_lines_lost_total',
    'Lines of the log that were dropped because nobody read, or the disk was full',
  ),
  eventLoopLag: histogram('postern_event_loop_lag_seconds', 'How late a timer of 100 ms came'),
  eventLoopBusy: counter('postern_event_loop_busy_seconds_total', 'Time that the event loop was not idle'),
  cpu: counter('process_cpu_seconds_total', 'CPU time of the process, all threads'),
  residentMemory: gauge('process_resident_memory_bytes', 'Resident memory'),
  startTime: gauge('process_start_time_seconds', 'When the process started, Unix time'),
  heapUsed: gauge('nodejs_heap_size_used_bytes', 'JavaScript heap in use'),
  externalMemory: gauge('nodejs_external_memory_bytes', 'Memory of buffers outside of the heap'),
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
