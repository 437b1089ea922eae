// What `npm run bench` measures, against which baseline, and with which goal. A scenario is a module in `scenarios/`; a row is
// a line of the table. A ratio is Postern's figure divided by that of the baseline in the same pair.
// - goal: null for a figure without a goal
// - judgedBy: 'cpu' (calls per second of the server's CPU time), 'throughput' (calls per second), 'cost' (time per call),
//   'p99' (of the latency), or 'figure' for an absolute figure in the row's unit
// - pinned: whether the server runs on one core, and the load and PostgreSQL on another

/** @type {import('./goals.mjs').Scenario[]} */
export const scenarios = [
  {
    name: 'verify-seen',
    pinned: true,
    rows: [
      {
        id: 'verify-seen',
        title: 'VerifyToken, token in the cache',
        baseline: 'a bare grpc-js handler that returns the same bytes',
        goal: { atLeast: 0.9 },
        judgedBy: 'cpu',
      },
    ],
  },
  {
    name: 'api-keys',
    pinned: true,
    rows: [
      {
        id: 'verify-api-key',
        title: 'VerifyToken, known API key',
        baseline: 'the same service with a token in the cache',
        goal: { atLeast: 0.85 },
        judgedBy: 'cpu',
      },
      {
        id: 'exchange-api-key',
        title: 'ExchangeToken of an API key',
        baseline: 'the same service, IssueServiceToken with a secret',
        goal: null,
        judgedBy: 'cpu',
      },
    ],
  },
  {
    name: 'verify-http',
    pinned: true,
    rows: [
      {
        id: 'verify-http',
        title: 'VerifyToken over HTTP/1.1 with JSON, token in the cache',
        baseline: 'a bare node:http server that returns the same bytes',
        goal: { atLeast: 0.5 },
        judgedBy: 'cpu',
      },
    ],
  },
  {
    name: 'verify-first-sight',
    pinned: true,
    rows: [
      {
        id: 'verify-first-sight',
        title: 'VerifyToken, token not in the cache (ES256)',
        baseline: 'the bare handler plus one `jose.jwtVerify`',
        goal: { atLeast: 0.95 },
        judgedBy: 'cpu',
      },
    ],
  },
  {
    name: 'verify-by-hand',
    pinned: true,
    rows: [
      {
        id: 'verify-by-hand',
        title: 'VerifyToken, token in the cache',
        baseline: 'a typical hand-written service: proto-loader, `jsonwebtoken` (HS256), one SELECT per call',
        goal: { atLeast: 8 },
        judgedBy: 'cpu',
      },
    ],
  },
  {
    name: 'verify-service',
    pinned: true,
    rows: [
      {
        id: 'verify-service',
        title: 'VerifyToken of the service, token in the cache',
        baseline: 'a sidecar that listens on TCP too and verifies the same token',
        goal: { atLeast: 0.95 },
        judgedBy: 'cpu',
      },
    ],
  },
  {
    name: 'check',
    pinned: true,
    rows: [
      {
        id: 'check',
        title: "Envoy's ext_authz Check, token in the cache",
        baseline: 'a bare grpc-js handler that returns the same bytes',
        goal: { atLeast: 0.85 },
        judgedBy: 'cpu',
      },
    ],
  },
  {
    name: 'verifier',
    pinned: true,
    rows: [
      {
        id: 'verifier-new-text',
        title: 'in-process verifier on one core, token in the cache, a new string each time',
        baseline: 'none; this is how requests carry tokens. The time to make the string is subtracted',
        goal: { atLeast: 1_000_000 },
        judgedBy: 'figure',
        unit: '/s',
      },
      {
        id: 'verifier-same-text',
        title: 'in-process verifier on one core, token in the cache, the same string object',
        baseline: 'none',
        goal: null,
        judgedBy: 'figure',
        unit: '/s',
      },
      {
        id: 'verifier-first-sight',
        title: 'in-process verifier, token not in the cache (ES256)',
        baseline: '`jose.jwtVerify` in the same process',
        goal: { atLeast: 0.83 },
        judgedBy: 'cpu',
      },
    ],
  },
  {
    name: 'revocation-delay',
    pinned: false,
    rows: [
      {
        id: 'revocation-delay-near',
        title:
          'p99 from the answer of RevokeToken to the refusal, in-process verifier at the instance that answered',
        baseline: 'none',
        goal: { atMost: 20 },
        judgedBy: 'figure',
        unit: ' ms',
      },
      {
        id: 'revocation-delay-far',
        title: 'the same at another instance',
        baseline: 'none',
        goal: { atMost: 100 },
        judgedBy: 'figure',
        unit: ' ms',
      },
      {
        id: 'revocation-delay-reconnecting',
        title:
          'the longest such time while the instance of the verifier is killed and starts again; none may be missed',
        baseline: 'none',
        goal: null,
        judgedBy: 'figure',
        unit: ' ms',
      },
    ],
  },
  {
    name: 'login',
    pinned: false,
    rows: [
      {
        id: 'login-share',
        title: 'Login',
        baseline: 'the same number of threads that run only argon2id',
        goal: { atLeast: 0.9 },
        judgedBy: 'throughput',
      },
    ],
  },
  {
    name: 'login-cost',
    pinned: true,
    rows: [
      {
        id: 'login-service-cpu',
        title: "Login, the service's CPU time beyond the hash",
        baseline: 'one bare argon2id hash, subtracted',
        goal: { atMost: 4 },
        judgedBy: 'figure',
        unit: ' ms',
      },
      {
        id: 'login-postgres-cpu',
        title: "Login, PostgreSQL's CPU time",
        baseline: 'none',
        goal: { atMost: 1.3 },
        judgedBy: 'figure',
        unit: ' ms',
      },
    ],
  },
  {
    name: 'login-totp',
    pinned: true,
    rows: [
      {
        id: 'login-totp-cpu',
        title: 'Login with a TOTP code',
        baseline: 'the same service, Login of users without a second factor',
        goal: { atLeast: 0.75 },
        judgedBy: 'cpu',
      },
      {
        id: 'login-totp-postgres-cpu',
        title: "Login with a TOTP code, PostgreSQL's CPU time",
        baseline: 'none',
        goal: { atMost: 2.6 },
        judgedBy: 'figure',
        unit: ' ms',
      },
    ],
  },
  {
    name: 'login-flood',
    pinned: false,
    rows: [
      {
        id: 'login-flood-p99',
        title: 'p99 of VerifyToken during a flood of logins',
        baseline: 'none',
        goal: { below: 25 },
        judgedBy: 'figure',
        unit: ' ms',
      },
      {
        id: 'login-flood-times-idle',
        title: 'p99 of VerifyToken during a flood of logins',
        baseline: 'its p99 without the flood',
        goal: { atMost: 3 },
        judgedBy: 'p99',
      },
      ...[100, 200, 300].map((callers) => ({
        id: `login-flood-p99-${callers}`,
        title: `p99 of VerifyToken while ${callers} callers log in at the same time and come back 20 ms after a refusal`,
        baseline: 'none',
        goal: { atMost: 25 },
        judgedBy: 'figure',
        unit: ' ms',
      })),
      ...[100, 200, 300].map((callers) => ({
        id: `login-flood-kept-${callers}`,
        title: `logins per second with those ${callers} callers`,
        baseline: 'logins per second with as many callers as are never refused',
        goal: { atLeast: 0.8 },
        judgedBy: 'figure',
        unit: '',
      })),
      {
        id: 'login-flood-p99-30-times',
        title: 'p99 of VerifyToken while 30 times as many logins arrive as the service can hash',
        baseline: 'none',
        goal: { atMost: 25 },
        judgedBy: 'figure',
        unit: ' ms',
      },
    ],
  },
  {
    name: 'refresh',
    pinned: false,
    rows: [
      {
        id: 'refresh',
        title: 'RefreshToken, audited, 32 callers, all CPU time with PostgreSQL',
        baseline:
          'one `UPDATE ... RETURNING` of a session through a `pg` pool in a bare process, without gRPC; the same number in flight',
        goal: { atLeast: 0.4 },
        judgedBy: 'cpu',
      },
      {
        id: 'refresh-cost',
        title: 'RefreshToken, audited, 32 callers, CPU time of the service and PostgreSQL per call',
        baseline: 'none',
        goal: { atMost: 0.6 },
        judgedBy: 'figure',
        unit: ' ms',
      },
      {
        id: 'refresh-go',
        title: 'RefreshToken, audited, 32 callers, all CPU time with PostgreSQL',
        baseline:
          'a hand-written service in Go (grpc-go, pgx, golang-jwt): one `UPDATE ... RETURNING`, no audit event',
        goal: { atLeast: 0.67 },
        judgedBy: 'cpu',
      },
    ],
  },
  {
    name: 'users',
    pinned: true,
    rows: [
      {
        id: 'users',
        title: 'Login without its hash, with a growing number of users',
        baseline: 'the same with 1,000 users; a hash of 8 KiB replaces that of 19 MiB',
        goal: { atMost: 1.3 },
        judgedBy: 'cost',
        axis: 'users (baseline: 1,000)',
      },
    ],
  },
  {
    name: 'revocations',
    pinned: true,
    rows: [
      {
        id: 'revocations',
        title: 'VerifyToken, token in the cache, with a growing number of active revocations',
        baseline: 'the same without revocations',
        goal: { atLeast: 0.95 },
        judgedBy: 'cpu',
        axis: 'active revocations (baseline: none)',
      },
    ],
  },
  {
    name: 'revocation-writes',
    pinned: false,
    rows: [
      {
        id: 'revocation-writes',
        title: 'committed revocations, 32 writers, other instances notified',
        baseline: 'the same statements without any notification',
        goal: { atLeast: 0.8 },
        judgedBy: 'throughput',
      },
    ],
  },
  {
    name: 'service-footprint',
    pinned: false,
    rows: [
      {
        id: 'service-start',
        title: 'the service, from start to listening',
        baseline: 'none',
        goal: { atMost: 600 },
        judgedBy: 'figure',
        unit: ' ms',
      },
      {
        id: 'service-memory',
        title: 'the service, resident memory after 5,000 calls',
        baseline: 'none',
        goal: { atMost: 128 },
        judgedBy: 'figure',
        unit: ' MB',
      },
    ],
  },
  {
    name: 'sidecar-footprint',
    pinned: false,
    rows: [
      {
        id: 'sidecar-start',
        title: 'a sidecar, from start to listening',
        baseline: 'none',
        goal: { atMost: 400 },
        judgedBy: 'figure',
        unit: ' ms',
      },
      {
        id: 'sidecar-memory',
        title: 'a sidecar, resident memory after 5,000 calls',
        baseline: 'none',
        goal: { atMost: 95 },
        judgedBy: 'figure',
        unit: ' MB',
      },
    ],
  },
  {
    name: 'sidecar-socket',
    pinned: true,
    rows: [
      {
        id: 'sidecar-socket',
        title: "a sidecar's VerifyToken through a unix socket, token in the cache",
        baseline: 'the bare handler through a unix socket',
        goal: null,
        judgedBy: 'cpu',
      },
    ],
  },
  {
    name: 'sidecar-checks',
    pinned: true,
    rows: [
      {
        id: 'sidecar-checks',
        title: "a sidecar's ext_authz Check through a unix socket, 20 in flight, p99.9",
        baseline: 'none; the time of the caller, in Node, is included',
        goal: { atMost: 200 },
        judgedBy: 'figure',
        unit: ' ms',
      },
    ],
  },
];

/** All rows, each with the name of its scenario. */
export const allRows = scenarios.flatMap(({ name, rows }) => rows.map((row) => ({ scenario: name, ...row })));

/** The only row of a scenario, or the row with this id. */
export function rowOf(scenario, id = scenario) {
  const row = allRows.find((one) => one.scenario === scenario && one.id === id);
  if (!row) throw new Error(`bench/goals.mjs has no row ${id} of a scenario ${scenario}`);
  return row;
}
