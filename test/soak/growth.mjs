// How disk and the cost of a login and a refresh grow with the numbers of sessions and audit events.
// node test/soak/growth.mjs [--sessions 1e5,1e6] [--samples 2000] [--target 1e8]   (after `npm run build`)
// Each size has as many audit events as sessions, a tenth as many users, and the events lie in partitions of 14 months. The rows are
// made by generate_series; the samples are the service's own statements, one at a time. Of a login it leaves out the password
// hash. A row of output for each size, then the extrapolation to the target: bytes a row of the largest size, and the median and
// CPU time of the largest size with what they grew by over each decade added again. The indexes are built anew, so they
// are a fifth smaller than ones that grew. Disk: about 1 GB for 1e6, 10 GB for 1e7.
import { createHash, randomBytes, randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { openBenchService } from '../../bench/bench-service.mjs';
import { openPostgresCpu } from '../../bench/postgres-cpu.mjs';
import { Database } from '../../dist/database/database.js';
import { budgetOf, ownOrigin } from '../../dist/domain/operation-call.js';
import { uuidV7 } from '../../dist/domain/uuid.js';
import { listAuditEvents, newAuditEventId } from '../../dist/features/audit/audit-queries.js';
import { beginLogin } from '../../dist/features/authentication/throttle/throttle-queries.js';
import { LOGIN_THROTTLE_POLICY } from '../../dist/features/authentication/throttle/throttle-policy.js';
import { insertSession } from '../../dist/features/sessions/open-session-queries.js';
import { rotateSession } from '../../dist/features/sessions/rotation-queries.js';

const { values } = parseArgs({
  options: {
    sessions: { type: 'string', default: '1e5,1e6' },
    samples: { type: 'string', default: '2000' },
    target: { type: 'string', default: '1e8' },
  },
});
const sizes = values.sessions.split(',').map(Number);
const samples = Number(values.samples);
const target = Number(values.target);
const DAY_MS = 86_400_000;
const LIFETIME_DAYS = 30;
const HISTORY_DAYS = 390;
const ACCESS_SECONDS = 600;
const AGENT = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36';
const anything = { actor: null, target: null, action: null, outcome: null, since: null, until: null };

const fixture = await openBenchService();
const cpuSeconds = await openPostgresCpu(fixture);
const database = new Database({
  address: fixture.embedded.connection,
  applicationName: 'bench',
  maxConnections: 1,
  warn: () => undefined,
});
const budget = () => budgetOf(30_000, Date.now());
const startMs = Date.now();

/** The id of the nth session or user of a size; `fill` makes the same ones. */
const idOf = (n, firstMs, stepMs) => {
  const tail = n.toString(16).padStart(12, '0');
  const time = (firstMs + n * stepMs).toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${tail}`;
};
const SQL_ID = (first, step) =>
  `(lpad(to_hex(${first}::bigint + i * ${step}::bigint), 12, '0') || '70008000' || lpad(to_hex(i), 12, '0'))::uuid`;

/** Partitions for the past, which a new database does not have: the first one of the migration takes their place. */
async function makePastMonths() {
  await fixture.query(`DO $$
    DECLARE month timestamp;
    BEGIN
      ALTER TABLE audit_events DETACH PARTITION audit_events_first;
      FOR back IN REVERSE 13..0 LOOP
        month := date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => back);
        EXECUTE format('CREATE TABLE audit_events_%s PARTITION OF audit_events FOR VALUES FROM (%L) TO (%L)', to_char(month, 'YYYY_MM'),
          postern_lowest_id(month AT TIME ZONE 'UTC'), postern_lowest_id((month + interval '1 month') AT TIME ZONE 'UTC'));
      END LOOP;
      PERFORM postern_make_partitions(400);
    END $$`);
}

/** Builds the indexes of a table afterwards, and checks no reference: a third of the time. */
async function filling(table, insert) {
  const indexes = await fixture.query(
    `SELECT indexname AS name, replace(indexdef, ' ON ONLY ', ' ON ') AS definition FROM pg_indexes
     WHERE tablename = $1 AND indexdef NOT LIKE 'CREATE UNIQUE %'`,
    [table],
  );
  await fixture.query(
    [`ALTER TABLE ${table} DISABLE TRIGGER ALL`, ...indexes.map(({ name }) => `DROP INDEX ${name}`)].join(
      ';',
    ),
  );
  await insert();
  await fixture.query(
    [`ALTER TABLE ${table} ENABLE TRIGGER ALL`, ...indexes.map(({ definition }) => definition)].join(';'),
  );
}

/** Fills the tables up to a size. Steps are whole ms, so that `idOf` needs no table. */
async function fill(from, to) {
  const sessionStep = Math.floor((LIFETIME_DAYS * DAY_MS * 0.9) / to);
  const eventStep = Math.floor((HISTORY_DAYS * DAY_MS) / to);
  const firstSession = startMs - sessionStep * to;
  const firstEvent = startMs - eventStep * to;
  await fixture.query('TRUNCATE sessions, audit_events, login_throttle');
  await fixture.query(
    `INSERT INTO users (id, email, password_hash)
     SELECT ${SQL_ID('1', '0')}, 'user-' || i || '@example.com', '$argon2id$v=19$m=19456,t=2,p=1$' || repeat('x', 66)
     FROM generate_series($1::bigint + 1, $2) AS i`,
    [from / 10, to / 10],
  );
  await filling('sessions', () =>
    fixture.query(
      `INSERT INTO sessions (id, user_id, nonce, audience, client_address, user_agent, created_at, access_expires_at, expires_at,
                           acr, amr, authenticated_at, authentication_mac)
     SELECT s.id, ('00000000-0001-7000-8000-' || lpad(to_hex(1 + i % ($1::bigint / 10)), 12, '0'))::uuid,
            decode(md5(s.id::text) || md5(s.id::text), 'hex'), 'postern', '192.0.2.1', $4, s.at, s.at + interval '10 minutes',
            s.at + make_interval(days => ${LIFETIME_DAYS}), 'aal1', '{pwd}', s.at, decode(md5(s.id::text) || md5(s.id::text), 'hex')
     FROM generate_series(1, $1::bigint) AS i,
          LATERAL (SELECT ${SQL_ID('$2', '$3')} AS id, to_timestamp(($2::bigint + i * $3::bigint) / 1000.0) AS at) AS s`,
      [to, firstSession, sessionStep, AGENT],
    ),
  );
  await filling('audit_events', () =>
    fixture.query(
      `INSERT INTO audit_events (id, at, action, outcome, actor_type, actor_id, target_type, target_id, client_address, user_agent, request_id)
     SELECT ${SQL_ID('$2', '$3')}, to_timestamp(($2::bigint + i * $3::bigint) / 1000.0),
            CASE WHEN i % 10 = 0 THEN 'login' ELSE 'token.refresh' END, CASE WHEN i % 100 = 0 THEN 'refused' ELSE 'ok' END, 'user',
            '00000000-0001-7000-8000-' || lpad(to_hex(1 + i % ($1::bigint / 10)), 12, '0'), 'session', gen_random_uuid()::text,
            '192.0.2.1', $4, gen_random_uuid()::text
     FROM generate_series(1, $1::bigint) AS i`,
      [to, firstEvent, eventStep, AGENT],
    ),
  );
  await fixture.query('VACUUM ANALYZE');
  await fixture.query('CHECKPOINT');
  return { firstSession, sessionStep };
}

const userIdOf = (n) => `00000000-0001-7000-8000-${n.toString(16).padStart(12, '0')}`;

async function login(users) {
  const n = 1 + randomInt(users);
  const keys = { pair: randomBytes(32), account: randomBytes(32) };
  const begun = await database.run(budget(), (db) =>
    beginLogin(db, { ...keys, email: `user-${String(n)}@example.com` }, LOGIN_THROTTLE_POLICY),
  );
  const id = uuidV7(Date.now(), randomBytes(16));
  const opening = {
    session: {
      id,
      userId: userIdOf(n),
      nonce: randomBytes(32),
      audience: 'postern',
      clientAddress: '192.0.2.1',
      userAgent: AGENT,
      authentication: {
        acr: 'aal1',
        amr: ['pwd'],
        authenticatedAtSeconds: Math.floor(Date.now() / 1000),
        mac: randomBytes(32),
      },
      lifetimeSeconds: LIFETIME_DAYS * 86_400,
      accessTokenSeconds: ACCESS_SECONDS,
    },
    expectedHash: begun.user.passwordHash,
    strongerHash: null,
    maxSessions: 100,
    forgiven: { ...keys, knownSourceSeconds: 86_400 },
    event: { id: newAuditEventId(), action: 'login', details: null, requestId: null },
  };
  const { outcome } = await database.run(budget(), (db) => insertSession(db, opening));
  if (outcome !== 'opened') throw new Error(outcome);
}

async function refresh(size, { firstSession, sessionStep }) {
  const sessionId = idOf(1 + randomInt(size), firstSession, sessionStep);
  const nonce = createHash('md5').update(sessionId).digest();
  const policy = {
    idleSeconds: LIFETIME_DAYS * 86_400,
    accessTokenSeconds: ACCESS_SECONDS,
    audiences: ['postern'],
    auditRefreshes: 'all',
  };
  // A generation that is new also when a session is picked twice.
  const to = 2 + Math.floor(performance.now());
  const [row] = await database.query(
    budget(),
    rotateSession({ sessionId, nonce, to, origin: ownOrigin }, policy),
  );
  if (!row?.rotated_now) throw new Error('a session was not found, or not rotated');
}

function listOf(filter) {
  return database.run(budget(), (db) =>
    listAuditEvents(db, { ...anything, ...filter }, { beforeId: null, limit: 51 }),
  );
}

/** The median and 99th percentile of an act, ms, and the CPU time of PostgreSQL for it, µs. */
async function measure(count, act) {
  for (let warm = 0; warm < Math.min(100, count); warm += 1) await act();
  const times = [];
  const cpuBefore = cpuSeconds();
  for (let sample = 0; sample < count; sample += 1) {
    const beganMs = performance.now();
    await act();
    times.push(performance.now() - beganMs);
  }
  const cpu = cpuSeconds() - cpuBefore;
  times.sort((a, b) => a - b);
  const at = (share) => Number(times[Math.floor(share * (times.length - 1))].toFixed(2));
  return { p50Ms: at(0.5), p99Ms: at(0.99), cpuUs: Math.round((cpu / count) * 1e6) };
}

async function bytesARow(table, size) {
  const [{ heap, indexes }] = await fixture.query(
    `SELECT sum(pg_table_size(relid))::bigint AS heap, sum(pg_indexes_size(relid))::bigint AS indexes 
     FROM (SELECT relid FROM pg_partition_tree('${table}') UNION SELECT '${table}'::regclass) AS tables`,
  );
  return { heap: Math.round(Number(heap) / size), indexes: Math.round(Number(indexes) / size) };
}

/** The value of the target, from the sizes before it: what was added over the last decade is added over each further one. */
function extrapolate(points, valueOf) {
  const [before, last] = points.slice(-2);
  if (!last) return null;
  const perDecade = (valueOf(last) - valueOf(before)) / Math.log10(last.sessions / before.sessions);
  return Number((valueOf(last) + Math.max(0, perDecade) * Math.log10(target / last.sessions)).toFixed(2));
}

const points = [];
try {
  await makePastMonths();
  let filled = 0;
  for (const size of sizes) {
    const place = await fill(filled, size);
    filled = size;
    const point = {
      sessions: size,
      sessionBytes: await bytesARow('sessions', size),
      auditBytes: await bytesARow('audit_events', size),
    };
    point.login = await measure(samples, () => login(size / 10));
    point.refresh = await measure(samples, () => refresh(size, place));
    const reads = Math.ceil(samples / 20);
    const randomActor = () => userIdOf(1 + randomInt(size / 10));
    const [since, until] = [40, 39].map((days) => new Date(Date.now() - days * DAY_MS));
    point.list = {
      newest: await measure(reads, () => listOf({})),
      actor: await measure(reads, () => listOf({ actor: randomActor() })),
      refused: await measure(reads, () => listOf({ outcome: 'refused' })),
      day: await measure(reads, () => listOf({ since, until })),
    };
    points.push(point);
    console.log(JSON.stringify(point));
  }
  const last = points.at(-1);
  const gigabytes = ({ heap, indexes }) => Math.round(((heap + indexes) * target) / 1e9);
  console.log(
    JSON.stringify({
      extrapolatedTo: target,
      sessionsGB: gigabytes(last.sessionBytes),
      auditGB: gigabytes(last.auditBytes),
      loginP50Ms: extrapolate(points, ({ login }) => login.p50Ms),
      loginCpuUs: extrapolate(points, ({ login }) => login.cpuUs),
      refreshP50Ms: extrapolate(points, ({ refresh }) => refresh.p50Ms),
      refreshCpuUs: extrapolate(points, ({ refresh }) => refresh.cpuUs),
    }),
  );
} finally {
  await database.close();
  await fixture.stop();
}
