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
        title: 'VerifyToken, seen before',
        beside: 'a bare grpc-js handler that returns the same bytes',
        goal: { atLeast: 0.9 },
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
        title: 'VerifyToken, never seen before (ES256)',
        beside: 'the bare handler plus one `jose.jwtVerify`',
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
        title: 'VerifyToken, seen before',
        beside: 'what people write by hand: proto-loader, `jsonwebtoken` (HS256), one SELECT a call',
        goal: { atLeast: 8 },
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
        title: "Envoy's ext_authz Check, token seen before",
        beside: 'a bare grpc-js handler that returns the same bytes',
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
        title: 'in-process verifier on one core, seen before, a new string each time',
        beside: 'nothing; a request brings its token so. What making the string takes is subtracted',
        goal: { atLeast: 1_000_000 },
        judgedBy: 'figure',
        unit: '/s',
      },
      {
        id: 'verifier-same-text',
        title: 'in-process verifier on one core, seen before, the same string object',
        beside: 'nothing',
        goal: null,
        judgedBy: 'figure',
        unit: '/s',
      },
      {
        id: 'verifier-first-sight',
        title: 'in-process verifier, never seen before (ES256)',
        beside: '`jose.jwtVerify` in the same process',
        goal: { atLeast: 0.83 },
        judgedBy: 'cpu',
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
        beside: 'as many threads that do nothing but argon2id',
        goal: { atLeast: 0.9 },
        judgedBy: 'throughput',
      },
    ],
  },
  {
    name: 'login-flood',
    pinned: false,
    rows: [
      {
        id: 'login-flood-p99',
        title: 'p99 of VerifyToken in a flood of logins',
        beside: 'nothing',
        goal: { below: 25 },
        judgedBy: 'figure',
        unit: ' ms',
      },
      {
        id: 'login-flood-times-idle',
        title: 'p99 of VerifyToken in a flood of logins',
        beside: 'its p99 without one',
        goal: { atMost: 3 },
        judgedBy: 'p99',
      },
    ],
  },
  {
    name: 'refresh',
    pinned: false,
    rows: [
      {
        id: 'refresh',
        title: 'RefreshToken, audited',
        beside:
          'one `UPDATE ... RETURNING` of a session through a `pg` pool in a bare process, without gRPC; as many in flight',
        goal: { atLeast: 0.5 },
        judgedBy: 'throughput',
      },
    ],
  },
  {
    name: 'users',
    pinned: true,
    rows: [
      {
        id: 'users',
        title: 'Login without its hash, of ever more users',
        beside: 'the same of 1,000 users; a hash of 8 KiB stands for the one of 19 MiB',
        goal: { atMost: 1.3 },
        judgedBy: 'cost',
        axis: 'users (beside: 1,000)',
      },
    ],
  },
  {
    name: 'revocations',
    pinned: true,
    rows: [
      {
        id: 'revocations',
        title: 'VerifyToken, seen before, with ever more live revocations',
        beside: 'the same with none',
        goal: { atLeast: 0.95 },
        judgedBy: 'cpu',
        axis: 'live revocations (beside: none)',
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
        beside: 'nothing',
        goal: { atMost: 600 },
        judgedBy: 'figure',
        unit: ' ms',
      },
      {
        id: 'service-memory',
        title: 'the service, resident memory after 5,000 calls',
        beside: 'nothing',
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
        beside: 'nothing',
        goal: { atMost: 400 },
        judgedBy: 'figure',
        unit: ' ms',
      },
      {
        id: 'sidecar-memory',
        title: 'a sidecar, resident memory after 5,000 calls',
        beside: 'nothing',
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
        title: "a sidecar's VerifyToken through a unix socket, seen before",
        beside: 'the bare handler through a unix socket',
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
        beside: 'nothing; the time of the caller, in Node, is part of it',
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
