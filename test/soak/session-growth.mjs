// Whether the tables of sessions and revocations keep their size over months of logins, refreshes and logouts.
// node test/soak/session-growth.mjs [--refreshes 300000] [--days 75] [--logins 100] [--ttl-days 30]   (after `npm run build`)
// Runs the service's own statements with a database clock that jumps a day at a time (the bench's schema has a now() of
// its own), and the service's own purge after each day. Autovacuum runs every second, since a day lasts seconds here;
// commits do not wait for the disk. The audit trail is measured and emptied daily: the purge does not limit its age.
// Exits with 1 when the last third of the time takes over a quarter more bytes than the middle one, or HOT updates fall
// below nine of ten. Ten million refreshes: --refreshes 10000000.
import { randomBytes, randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { budgetOf, ownOrigin } from '../../dist/domain/operation-call.js';
import { uuidV7 } from '../../dist/domain/uuid.js';
import { purgeExpired } from '../../dist/features/maintenance/purge-expired.js';
import { Database } from '../../dist/database/database.js';
import { insertSession } from '../../dist/features/sessions/open-session-queries.js';
import { endSessions } from '../../dist/features/sessions/session-queries.js';
import { SessionRotator } from '../../dist/features/sessions/session-rotator.js';
import { openBenchService } from '../../bench/bench-service.mjs';

const { values } = parseArgs({
  options: {
    refreshes: { type: 'string', default: '300000' },
    days: { type: 'string', default: '75' },
    logins: { type: 'string', default: '100' },
    'ttl-days': { type: 'string', default: '30' },
  },
});
const days = Number(values.days);
const loginsADay = Number(values.logins);
const refreshesADay = Math.ceil(Number(values.refreshes) / days);
const DAY_SECONDS = 86_400;
const lifetimeSeconds = Number(values['ttl-days']) * DAY_SECONDS;
const ACCESS_TOKEN_SECONDS = 600;
const USERS = 1_000;
const MAX_SESSIONS = 100;
const CLERKS = 6;
/** Of the sessions, so many are logged out each day; the rest are left to expire. */
const LOGOUT_SHARE = 0.05;

const fixture = await openBenchService();
await fixture.query('ALTER SYSTEM SET autovacuum_naptime = 1');
await fixture.query('SELECT pg_reload_conf()');
await fixture.query(`CREATE SCHEMA bench;
  CREATE TABLE bench.clock (shift interval NOT NULL);
  INSERT INTO bench.clock VALUES ('0');
  CREATE FUNCTION bench.now() RETURNS timestamptz STABLE LANGUAGE sql
    AS 'SELECT pg_catalog.now() + shift FROM bench.clock';
  CREATE FUNCTION bench.clock_timestamp() RETURNS timestamptz VOLATILE LANGUAGE sql
    AS 'SELECT pg_catalog.clock_timestamp() + shift FROM bench.clock';
  ALTER DATABASE postern SET search_path = bench, pg_catalog, public;
  ALTER DATABASE postern SET synchronous_commit = off;
  -- The functions have a search path of their own, and would open sessions by the real clock.
  DO $$ DECLARE name regprocedure; BEGIN
    FOR name IN SELECT oid FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND array_to_string(proconfig, ',') LIKE '%search_path%' LOOP
      EXECUTE format('ALTER FUNCTION %s SET search_path = bench, pg_catalog, public, pg_temp', name);
    END LOOP;
  END $$`);
const database = new Database({
  address: fixture.embedded.connection,
  applicationName: 'bench',
  maxConnections: CLERKS,
  warn: () => undefined,
});
const userIds = Array.from({ length: USERS }, () => randomUUID());
await fixture.query(
  "INSERT INTO users (id, email) SELECT id, id || '@example.com' FROM unnest($1::uuid[]) AS id",
  [userIds],
);

const rotator = new SessionRotator(database, {
  idleSeconds: lifetimeSeconds,
  accessTokenSeconds: ACCESS_TOKEN_SECONDS,
  audiences: ['postern'],
  auditRefreshes: 'all',
});
const budget = () => budgetOf(30_000, Date.now());
let live = [];
let logins = 0;
let today = 1;

async function login() {
  const userId = userIds[logins++ % USERS];
  const id = uuidV7(Date.now(), randomBytes(16));
  const session = {
    id,
    userId,
    nonce: randomBytes(16),
    audience: 'postern',
    clientAddress: '192.0.2.1',
    userAgent: 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36',
    authentication: {
      acr: 'aal1',
      amr: ['pwd'],
      authenticatedAtSeconds: Math.floor(Date.now() / 1000),
      mac: randomBytes(32),
    },
    lifetimeSeconds,
    accessTokenSeconds: ACCESS_TOKEN_SECONDS,
  };
  const opening = {
    session,
    expectedHash: null,
    strongerHash: null,
    maxSessions: MAX_SESSIONS,
    forgiven: { pair: randomBytes(32), account: randomBytes(32), knownSourceSeconds: 1 },
    event: { id: uuidV7(Date.now(), randomBytes(16)), action: 'login', details: null, requestId: null },
  };
  const { outcome } = await database.run(budget(), (db) => insertSession(db, opening));
  if (outcome !== 'opened') throw new Error(outcome);
  live.push({
    id,
    userId,
    nonce: session.nonce,
    generation: 1,
    expiresOn: today + Number(values['ttl-days']),
  });
}

async function refresh() {
  const session = live[Math.floor(Math.random() * live.length)];
  if (!session || session.busy) return;
  session.busy = true;
  const { id: sessionId, nonce, generation } = session;
  const rotated = await rotator.rotate(budget(), { sessionId, nonce, to: generation + 1, origin: ownOrigin });
  session.busy = false;
  if (!rotated?.rotatedAtMs) throw new Error('a refresh was lost');
  session.generation += 1;
  refreshes += 1;
}

async function logOut() {
  const [session] = live.splice(Math.floor(Math.random() * live.length), 1);
  await database.run(budget(), (db) => endSessions(db, { sessionId: session.id }, 'revoked'));
}

async function inParallel(count, act) {
  let left = count;
  const worker = async () => {
    while (left-- > 0) await act();
  };
  await Promise.all(Array.from({ length: CLERKS }, worker));
}

async function measure(day) {
  const [row] = await fixture.query(
    `SELECT (SELECT count(*)::int FROM sessions) AS sessions, (SELECT count(*)::int FROM revocations) AS revocations,
            pg_total_relation_size('sessions')::int AS "sessionsBytes", pg_indexes_size('sessions')::int AS "ofThatIndexes",
            pg_total_relation_size('revocations')::int AS "revocationsBytes", s.n_dead_tup::int AS dead,
            s.n_tup_upd::int AS updates, s.n_tup_hot_upd::int AS "hotUpdates",
            (s.autovacuum_count + r.autovacuum_count)::int AS vacuums
     FROM pg_stat_user_tables s, pg_stat_user_tables r WHERE s.relname = 'sessions' AND r.relname = 'revocations'`,
  );
  const { updates, hotUpdates, ...rest } = row;
  return { day, refreshes, ...rest, hotShare: Number((hotUpdates / Math.max(1, updates)).toFixed(4)) };
}

let refreshes = 0;
let auditBytes = 0;
let purgeMs = 0;
const curve = [];
const startMs = performance.now();
try {
  for (let day = 1; day <= days; day += 1) {
    await inParallel(loginsADay, login);
    await inParallel(refreshesADay, refresh);
    await inParallel(Math.floor(live.length * LOGOUT_SHARE), logOut);
    await fixture.query(`UPDATE bench.clock SET shift = shift + interval '1 day'`);
    today = day + 1;
    // When they expire, their clients log in again.
    live = live.filter(({ expiresOn }) => expiresOn > today);
    const beforeMs = performance.now();
    await purgeExpired({ database }, { signal: new globalThis.AbortController().signal });
    purgeMs = Math.max(purgeMs, performance.now() - beforeMs);
    const [trail] = await fixture.query(
      `SELECT sum(pg_total_relation_size(relid))::int AS bytes FROM pg_partition_tree('audit_events')`,
    );
    auditBytes += trail.bytes;
    await fixture.query('TRUNCATE audit_events');
    const point = await measure(day);
    curve.push(point);
    if (day % Math.ceil(days / 15) === 0 || day === days) console.log(JSON.stringify(point));
  }
  const third = Math.floor(days / 3);
  const peak = (points) => Math.max(...points.map((point) => point.sessionsBytes + point.revocationsBytes));
  const [middle, last] = [peak(curve.slice(third, 2 * third)), peak(curve.slice(2 * third))];
  const hotShare = curve.at(-1).hotShare;
  console.log(
    JSON.stringify({
      refreshes,
      refreshesASecond: Math.round(refreshes / ((performance.now() - startMs) / 1000)),
      middleThirdPeakBytes: middle,
      lastThirdPeakBytes: last,
      growth: Number((last / middle).toFixed(3)),
      hotShare,
      maxPurgeMs: Math.round(purgeMs),
      auditBytesARefresh: Math.round(auditBytes / refreshes),
    }),
  );
  process.exitCode = last <= middle * 1.25 && hotShare >= 0.9 ? 0 : 1;
} finally {
  await database.close();
  await fixture.stop();
}
