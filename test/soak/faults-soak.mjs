// Clients and a ledger of acknowledged writes while faults hit the database, the connection to it and the service.
// node test/soak/faults-soak.mjs [--only NAME[,NAME]] [--scale 1] [--duration SECONDS] [--slack 1]   (after `npm run build`)
// Each fault lasts its usual time multiplied by --scale (a freeze: 4 s, so --scale 8 is half a minute); --duration
// repeats the round for so long; time limits are multiplied by --slack, for a busy machine.
// One JSON line for each fault; exits with 1 when the ledger or a time limit is broken.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { budgetOf, ownOrigin } from '../../dist/domain/operation-call.js';
import { createUser } from '../../dist/features/users/create-user.js';
import { setUserState } from '../../dist/features/users/set-user-state.js';
import { PasswordHasher } from '../../dist/passwords/password-hasher.js';
import { Database } from '../../dist/database/database.js';
import { postmasterOf } from '../../dist/database/embedded/process-state.js';
import { TcpProxy } from '../support/tcp-proxy.mjs';
import { Ledger } from './ledger.mjs';
import { openBenchService, password, percentile } from '../../bench/bench-service.mjs';

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    scale: { type: 'string', default: '1' },
    duration: { type: 'string', default: '0' },
    slack: { type: 'string', default: '1' },
  },
});
const scale = Number(values.scale);
const slack = Number(values.slack);
const CLIENTS = 6;
const STALENESS_S = 3;
const limits = {
  writeMs: 2_100 * slack,
  recoveryMs: 2_000 * slack,
  quickMs: 250 * slack,
};

const fixture = await openBenchService();
const proxy = new TcpProxy(fixture.socket);
const port = await proxy.open();
const environment = {
  POSTERN_MAX_STALENESS: `${STALENESS_S}s`,
  // As long as the longest fault: a client retries until it succeeds.
  POSTERN_REFRESH_GRACE: '1m',
};
const hasher = await PasswordHasher.start({ concurrency: 1 });
let service = await fixture.serve(environment, fixture.urlThrough(port));
let rounds = 0;

/** All of PostgreSQL's processes. */
function serverProcesses() {
  const postmaster = postmasterOf(join(fixture.dataDir, 'pgdata'));
  if (postmaster === null) throw new Error('PostgreSQL does not run');
  const parentOf = (pid) => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    } catch {
      return 0;
    }
  };
  const children = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && parentOf(name) === postmaster);
  return [postmaster, ...children.map(Number)];
}

function signal(name) {
  for (const pid of serverProcesses()) {
    try {
      process.kill(pid, name);
    } catch {
      // It has ended in the meantime.
    }
  }
}

const terminate = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE pid <> pg_backend_pid() AND backend_type = 'client backend' AND application_name LIKE 'postern %'`;

async function repeatedly(lastMs, everyMs, act) {
  const endMs = performance.now() + lastMs;
  while (performance.now() < endMs) {
    await act();
    await pause(everyMs);
  }
}

/** Each causes its fault, waits, and resolves when it is repaired. `away`: no write is possible during the fault. */
const scenarios = {
  terminated: { run: () => repeatedly(1_200 * scale, 100, () => fixture.query(terminate)) },
  crashed: {
    away: true,
    async run() {
      await proxy.close();
      process.kill(postmasterOf(join(fixture.dataDir, 'pgdata')), 'SIGQUIT');
      await pause(1_200 * scale);
      for (;;) {
        const isBack = await fixture.query('SELECT 1').then(
          () => true,
          () => false,
        );
        if (isBack) break;
        await pause(50);
      }
      await proxy.open(port);
    },
  },
  frozen: {
    away: true,
    silent: true,
    async run() {
      signal('SIGSTOP');
      try {
        await pause(4_000 * scale);
      } finally {
        signal('SIGCONT');
      }
    },
  },
  'black hole': {
    away: true,
    silent: true,
    async run() {
      proxy.swallowing = true;
      await pause(2_500 * scale);
      proxy.swallowing = false;
    },
  },
  'slow and cut': {
    async run() {
      proxy.delayMs = 20;
      await repeatedly(1_200 * scale, 250, () => proxy.cut());
      proxy.delayMs = 0;
    },
  },
  'read-only': {
    away: true,
    async run() {
      await fixture.query('ALTER DATABASE postern SET default_transaction_read_only = on');
      await fixture.query(terminate);
      await pause(1_200 * scale);
      // Takes effect on new connections only: an old connection stays read-only.
      await fixture.query(
        'BEGIN READ WRITE; ALTER DATABASE postern RESET default_transaction_read_only; COMMIT',
      );
    },
  },
  'disk full': {
    away: true,
    async run() {
      await fixture.query(`CREATE OR REPLACE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$`);
      const tables = ['sessions', 'revocations', 'audit_events', 'users'];
      const each = (make) => fixture.query(tables.map(make).join(';'));
      await each(
        (table) =>
          `CREATE TRIGGER disk_full BEFORE INSERT OR UPDATE ON ${table} EXECUTE FUNCTION disk_full()`,
      );
      await pause(1_200 * scale);
      await each((table) => `DROP TRIGGER disk_full ON ${table}`);
    },
  },
  'no connections left': {
    async run() {
      const held = [];
      const take = async () => {
        const client = new pg.Client(fixture.embedded.connection);
        client.on('error', () => undefined);
        await client.connect();
        held.push(client);
      };
      while (
        await take().then(
          () => true,
          () => false,
        )
      );
      await held[0].query(terminate);
      await repeatedly(1_000 * scale, 20, () => take().catch(() => undefined));
      await Promise.all(held.map((client) => client.end()));
    },
  },
  'service killed': {
    isKill: true,
    async run() {
      for (let kills = 0; kills < Math.ceil(2 * scale); kills += 1) {
        await pause(300 + Math.random() * 300);
        const dead = service;
        await dead.kill();
        service = await fixture.serve(environment, fixture.urlThrough(port));
      }
    },
  },
};

/** Verifies one valid token continuously, and calls the probes. */
async function watchReaders(token, isOver, state) {
  const took = [];
  while (!isOver()) {
    const startMs = performance.now();
    const { verdict } = await service.call('VerifyToken', { access_token: token });
    took.push(performance.now() - startMs);
    state.verdicts[verdict] = (state.verdicts[verdict] ?? 0) + 1;
    if (verdict === 'TRUST_STALE') state.staleAtMs ??= performance.now();
    const livez = await service.probe('/livez');
    if (livez !== 200) state.notLive = (state.notLive ?? 0) + 1;
    state.readyz[await service.probe('/readyz')] = true;
    await pause(5);
  }
  return took.sort((a, b) => a - b);
}

/** An operator with the same connection to the database: makes users and disables some. */
async function operate(name, isOver) {
  const database = new Database({
    address: { url: fixture.urlThrough(port) },
    applicationName: 'postern operator',
    maxConnections: 2,
    warn: () => undefined,
  });
  const acknowledged = [];
  const passwords = { hasher, policy: { minLength: 12 } };
  const actor = { type: 'operator', id: null };
  const call = () => ({ ...budgetOf(5_000, Date.now()), origin: ownOrigin });
  for (let count = 0; !isOver(); count += 1) {
    const email = `${name.replaceAll(' ', '-')}-${rounds}-${count}@example.com`;
    try {
      await createUser({ database, passwords }, { email, password, roles: [], actor }, call());
      const made = { email, disabled: false, maybe: false };
      acknowledged.push(made);
      if (count % 2 === 0) {
        made.maybe = true;
        await setUserState({ database }, { user: { email }, disabled: true, actor }, call());
        made.disabled = true;
      }
    } catch {
      // Not acknowledged.
    }
    await pause(100);
  }
  await database.close();
  return acknowledged;
}

async function settleUsers(users, ledger) {
  for (const { email, disabled, maybe } of users) {
    const { verdict } = await service.call('Login', { email, password });
    const due = disabled ? 'INVALID_CREDENTIALS' : 'OK';
    if (verdict !== due && !(maybe && !disabled)) ledger.fault(`${email}: ${verdict} in place of ${due}`);
  }
}

async function endure(name, { run, away, silent, isKill }) {
  rounds += 1;
  const email = `clients-${rounds}@example.com`;
  await fixture.addUser(email);
  const ledger = new Ledger(() => service, { email, password });
  ledger.mayLoseService = isKill === true;
  const pid = service.pid;
  const steady = await ledger.login();
  let over = false;
  const isOver = () => over;
  const state = { verdicts: {}, readyz: {} };
  const clients = Array.from({ length: CLIENTS }, () => ledger.live(isOver));
  const reading = watchReaders(steady.accessToken, isOver, state);
  const operating = operate(name, isOver);
  await pause(300);

  const hurtMs = performance.now();
  await run();
  const mendedMs = performance.now();
  const isWell = () =>
    ['Login', 'RefreshToken'].every((method) =>
      ledger.writes.some(
        (write) => write.method === method && write.verdict === 'OK' && write.endMs > mendedMs,
      ),
    );
  while (performance.now() < mendedMs + 10_000 && !isWell()) await pause(10);
  while (performance.now() < mendedMs + 10_000 && (await service.probe('/readyz')) !== 200) await pause(10);
  const recoveryMs = performance.now() - mendedMs;
  await pause(300);
  over = true;
  await Promise.all(clients);
  const took = await reading;
  const users = await operating;

  const sessions = await ledger.settle(fixture.query);
  await settleUsers(users, ledger);
  const slowestMs = Math.max(...ledger.writes.map(({ tookMs }) => tookMs));
  if (slowestMs > limits.writeMs) ledger.fault(`a write took ${Math.round(slowestMs)} ms`);
  if (recoveryMs > limits.recoveryMs) ledger.fault(`it took ${Math.round(recoveryMs)} ms to recover`);
  if (state.notLive && !isKill) ledger.fault(`/livez failed ${state.notLive} times`);
  if (!isKill && service.pid !== pid) ledger.fault('the service is another process');
  const verifyP99Ms = percentile(took, 0.99);
  const outageMs = mendedMs - hurtMs;
  if (away && !isKill) {
    const during = ledger.writes.filter(
      ({ endMs }) => endMs > hurtMs + limits.writeMs + 200 && endMs < mendedMs,
    );
    if (during.some(({ verdict }) => verdict === 'OK'))
      ledger.fault('a write succeeded while the database was away');
    const quick = during.map(({ tookMs }) => tookMs).sort((a, b) => a - b);
    if (silent && quick.length > 0 && percentile(quick, 0.5) > limits.quickMs) {
      ledger.fault(`the circuit stayed closed: writes took ${Math.round(percentile(quick, 0.5))} ms`);
    }
    state.writesWhileSilent = silent && { count: quick.length, p50Ms: percentile(quick, 0.5) };
  }
  const known = isKill ? ['OK', 'UNAVAILABLE', 'CANCELLED', 'TRUST_STALE'] : ['OK', 'TRUST_STALE'];
  for (const verdict of Object.keys(state.verdicts)) {
    if (!known.includes(verdict)) ledger.fault(`a good token: ${verdict}`);
  }
  // Staleness is counted from the last successful read, at most one poll before the fault.
  if (state.staleAtMs !== undefined && !isKill && state.staleAtMs - hurtMs < STALENESS_S * 1000 - 700) {
    ledger.fault('TRUST_STALE too early');
  }
  const neverNews = silent === true || name === 'crashed';
  if (neverNews && outageMs > STALENESS_S * 1000 + 600 && state.staleAtMs === undefined)
    ledger.fault('never TRUST_STALE');
  if (neverNews && outageMs > 1_200 && !state.readyz[503]) ledger.fault('/readyz did not tell');
  if (isKill) await settleKills(ledger);
  console.log(
    JSON.stringify({
      fault: name,
      ok: ledger.faults.length === 0,
      faults: ledger.faults,
      outageMs: Math.round(outageMs),
      recoveryMs: Math.round(recoveryMs),
      slowestWriteMs: Math.round(slowestMs),
      verifyP99Ms: Number(verifyP99Ms.toFixed(1)),
      acknowledged: ledger.acknowledged,
      users: users.length,
      sessions,
      refused: ledger.refused,
      verdicts: state.verdicts,
      ...(state.writesWhileSilent && { writesWhileSilent: state.writesWhileSilent }),
    }),
  );
  return ledger.faults.length === 0;
}

/** D13: no lock and no transaction of a dead process is left, and the keys are unchanged. */
async function settleKills(ledger) {
  const [left] = await fixture.query(
    `SELECT count(*)::int AS count FROM pg_stat_activity
     WHERE application_name LIKE 'postern %' AND application_name NOT LIKE '% ' || $1 AND state LIKE 'idle in transaction%'`,
    [String(service.pid)],
  );
  const [keys] = await fixture.query(
    `SELECT count(*)::int AS count FROM signing_keys WHERE state = 'active'`,
  );
  const [locks] = await fixture.query(
    `SELECT count(*)::int AS count FROM pg_locks WHERE NOT granted OR locktype = 'advisory'`,
  );
  if (left.count > 0) ledger.fault('a transaction of a killed service is open');
  if (keys.count !== 1) ledger.fault(`${keys.count} active keys`);
  if (locks.count > 1) ledger.fault(`${locks.count} locks are stuck`);
}

const chosen = Object.entries(scenarios).filter(
  ([name]) => values.only === '' || values.only.split(',').includes(name),
);
try {
  const endMs = performance.now() + Number(values.duration) * 1000;
  let ok = true;
  do {
    for (const [name, scenario] of chosen) ok = (await endure(name, scenario)) && ok;
  } while (performance.now() < endMs);
  process.exitCode = ok ? 0 : 1;
} finally {
  await hasher.stop();
  await fixture.stop();
  await proxy.close();
}
