// Logins, refreshes, revocations, administration and verification while the leader of a PostgreSQL under Patroni is lost.
// node test/soak/patroni.mjs [--only NAME[,NAME]] [--runs 1] [--random COUNT] [--seed 1] [--dcs JSON]
// (after `npm run build` and `bash test/interop/install.sh postgres patroni`)
// Two services and a sidecar of both; DATABASE_URL names all three servers. --random takes COUNT events in an order made from
// the seed, --dcs adds to the settings of the cluster: '{"failsafe_mode":true}'. One JSON line for each event; exits with 1
// when something acknowledged was lost, a revoked token revived, a valid one refused, or a call answered otherwise than
// docs/api.md says. `gapMs` is the longest time without an acknowledged write at either service, `leaderGapMs` the same for a
// client of PostgreSQL itself, `laterMs` how much later than that client a service had its first write.
import { setTimeout as pause } from 'node:timers/promises';
import { URL } from 'node:url';
import { parseArgs } from 'node:util';
import { Database } from '../../dist/database/database.js';
import { migrate } from '../../dist/database/migrate.js';
import {
  addServiceAccount,
  addUser,
  password,
  startService,
  startSidecar,
} from '../../bench/bench-service.mjs';
import { freePort, PatroniCluster, until } from '../interop/patroni/patroni-cluster.mjs';
import { Ledger } from './ledger.mjs';
import { patroniEvents } from './patroni-events.mjs';
import { Administrator, LeaderProbe, longestGap, Purge, Verifiers } from './patroni-load.mjs';

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    runs: { type: 'string', default: '1' },
    random: { type: 'string', default: '0' },
    seed: { type: 'string', default: '1' },
    dcs: { type: 'string', default: '{}' },
  },
});
/** Users of each service, and the clients of each user, which have one call at a time. */
const USERS = 4;
const CLIENTS = 2;
const WARM_UP_MS = 1_500;
const RECOVERY_LIMIT_MS = 60_000;

const cluster = await PatroniCluster.start(JSON.parse(values.dcs));
const quick = new URL('../../bench/with-quick-argon2.mjs', import.meta.url).href;
const options = { applicationName: 'operator', maxConnections: 1, warn: () => undefined };
const database = new Database({ address: { url: cluster.url() }, ...options });
const ports = [await freePort(), await freePort()];
const services = [];
let sidecar;

/** Again on the same port, so that the sidecar finds it. */
async function serve(index) {
  services[index] = await startService({
    DATABASE_URL: cluster.url(),
    POSTERN_GRPC_LISTEN: `127.0.0.1:${ports[index]}`,
    // As long as the longest gap: a client repeats a refresh until it succeeds.
    POSTERN_REFRESH_GRACE: '10m',
    NODE_OPTIONS: `--import=${quick}`,
  });
}

const faults = [];
const fault = (text) => faults.length < 20 && faults.push(text);
const probe = new LeaderProbe(cluster);
const endpoints = { one: () => services[0], other: () => services[1], sidecar: () => sidecar };
let rounds = 0;
const verifiers = new Verifiers(endpoints, fault);
const administrator = new Administrator(() => services[Math.floor(Math.random() * 2)], fault);
let ledgers = [];

const isWritten = (side, sinceMs) =>
  ledgers.some(
    (ledger) =>
      ledger.side === side && ledger.writes.some(({ verdict, endMs }) => verdict === 'OK' && endMs > sinceMs),
  );

/** Resolves when both services have acknowledged a write from now on. */
function untilWritten() {
  const sinceMs = performance.now();
  return until('a write', () => [0, 1].every((side) => isWritten(side, sinceMs)), RECOVERY_LIMIT_MS);
}

const restartServices = async () => {
  await Promise.all(services.map((service) => service.kill()));
  await Promise.all(services.map((_service, index) => serve(index)));
};
const events = patroniEvents(cluster, probe, { untilWritten, restartServices });

async function prepare() {
  const leader = await cluster.leader();
  for (const name of ['postern', 'rig'])
    await cluster.query(leader, `CREATE DATABASE ${name}`, [], 'postgres');
  await probe.prepare();
  await migrate(database);
  await Promise.all([serve(0), serve(1)]);
  await addUser(database, 'admin@example.com', ['admin']);
  const credential = await addServiceAccount(database, 'verifier');
  sidecar = await startSidecar(`ipv4:${ports.map((port) => `127.0.0.1:${port}`).join(',')}`, credential);
}

/** A ledger whose clients use one service, and whose settling asks the other one. */
class OneSided extends Ledger {
  revoked = [];
  settling = false;
  side;

  constructor(side, options) {
    super(() => services[this.settling ? 1 - side : side], options);
    this.side = side;
  }

  /**
   * On a busy machine a login may use up its 5 s: both of its uses of the database may take 1.7 s, and there is a hash in
   * between. That is said in `refused`.
   */
  fault(text) {
    if (text !== 'Login: DEADLINE_EXCEEDED') super.fault(text);
  }

  async revoke(session) {
    const token = session.accessToken;
    await super.revoke(session);
    if (session.ended) this.revoked.push(token);
  }
}

async function endure(name, { run, rotates = false, killsServices = false }) {
  faults.length = 0;
  verifiers.counts = {};
  rounds += 1;
  ledgers = [];
  for (let index = 0; index < 2 * USERS; index += 1) {
    const email = `client-${rounds}-${index}@example.com`;
    await addUser(database, email);
    ledgers.push(new OneSided(index % 2, { email, password }));
  }
  for (const ledger of ledgers) ledger.mayLoseService = killsServices;
  await administrator.logIn('admin@example.com');
  const steady = await Promise.all(ledgers.slice(0, 2).map((ledger) => ledger.login()));
  const revoked = [];
  let over = false;
  const isOver = () => over;
  const mayBeAway = new Set(killsServices ? ['one', 'other'] : []);
  const load = [
    ...ledgers.flatMap((ledger) => Array.from({ length: CLIENTS }, () => ledger.live(isOver))),
    verifiers.run(
      { valid: steady.map(({ accessToken }) => accessToken), revoked, mayBeAway, rotates },
      isOver,
    ),
    administrator.run({ rotates, mayLoseService: killsServices }, isOver),
    probe.run(isOver),
    ...(rotates ? [new Purge(cluster).run(isOver)] : []),
  ];
  const collect = globalThis.setInterval(() => {
    for (const { revoked: more } of ledgers) revoked.push(...more.splice(0));
  }, 10);
  let restore, beginMs, endMs;
  try {
    await pause(WARM_UP_MS);
    beginMs = performance.now();
    restore = await run();
    await untilWritten();
    await pause(WARM_UP_MS);
  } finally {
    endMs = performance.now();
    over = true;
    await Promise.all(load);
    globalThis.clearInterval(collect);
  }
  restore?.();
  const leader = await cluster.leader();
  const query = (sql, parameters) => cluster.query(leader, sql, parameters);
  let sessions = 0;
  for (const ledger of ledgers) {
    ledger.settling = true;
    sessions += await ledger.settle(query);
    revoked.push(...ledger.revoked.splice(0));
    for (const text of ledger.faults) fault(text);
  }
  await verifiers.settle(revoked);
  const made = await administrator.settle(query);
  const lost = await probe.lost();
  if (lost > 0) fault(`PostgreSQL itself lost ${lost} acknowledged rows`);
  report(name, { beginMs, endMs, revoked, sessions, ...made });
  await cluster.untilWhole();
  return faults.length === 0;
}

function report(name, { beginMs, endMs, revoked, ...counts }) {
  const gapOf = (times) => Math.round(longestGap(times, beginMs, endMs));
  const okTimes = [0, 1].map((side) =>
    ledgers
      .filter((ledger) => ledger.side === side)
      .flatMap(({ writes }) => writes.filter(({ verdict }) => verdict === 'OK').map((write) => write.endMs)),
  );
  const leaderBackMs = endOfGap(probe.writtenAtMs, beginMs, endMs);
  const later = okTimes.map((times) => endOfGap(times, beginMs, endMs) - leaderBackMs);
  const sum = (field) => ledgers.reduce((total, { acknowledged }) => total + acknowledged[field], 0);
  const refused = {};
  for (const ledger of ledgers)
    for (const [verdict, count] of Object.entries(ledger.refused))
      refused[verdict] = (refused[verdict] ?? 0) + count;
  console.log(
    JSON.stringify({
      event: name,
      ok: faults.length === 0,
      faults,
      gapMs: Math.max(...okTimes.map(gapOf)),
      leaderGapMs: gapOf(probe.writtenAtMs),
      laterMs: later.map(Math.round),
      acknowledged: { logins: sum('logins'), refreshes: sum('refreshes'), revokes: sum('revokes') },
      refused,
      slowestWriteMs: Math.round(
        Math.max(...ledgers.flatMap(({ writes }) => writes.map(({ tookMs }) => tookMs))),
      ),
      verified: verifiers.counts,
      slowestVerifyMs: Math.round(verifiers.slowestMs),
      revoked: revoked.length,
      ...counts,
    }),
  );
}

/** When the longest gap ended. */
function endOfGap(times, fromMs, toMs) {
  const sorted = [fromMs, ...times.filter((ms) => ms > fromMs && ms < toMs).sort((a, b) => a - b), toMs];
  const gap = longestGap(times, fromMs, toMs);
  return sorted.find((ms, index) => index > 0 && ms - sorted[index - 1] === gap);
}

/** The events of a history, by a linear congruential generator: the same seed, the same order. */
function* randomEvents(count, seed) {
  const names = Object.keys(events);
  for (let index = 0, state = seed >>> 0; index < count; index += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield names[Math.floor((state / 2 ** 32) * names.length)];
  }
}

const chosen = values.only === '' ? Object.keys(events) : values.only.split(',');
const random = Number(values.random);
const history =
  random > 0
    ? randomEvents(random, Number(values.seed))
    : Array.from({ length: Number(values.runs) }, () => chosen).flat();

/** Also of what is left when this process is stopped early. */
async function stopAll() {
  for (const process of [...services, sidecar]) await process?.kill();
  await database.close();
  await cluster.remove();
}
process.once('SIGTERM', () => void stopAll().finally(() => process.exit(143)));

try {
  const unknown = chosen.filter((name) => !(name in events));
  if (unknown.length > 0)
    throw new Error(`--only: ${unknown.join()}; there is ${Object.keys(events).join()}`);
  await prepare();
  let ok = true;
  for (const name of history) ok = (await endure(name, events[name])) && ok;
  process.exitCode = ok ? 0 : 1;
} finally {
  await stopAll();
}
