// What logins and refreshes cost: CPU time of the service and of PostgreSQL, disk, write-ahead log, memory and connections.
import { setTimeout as pause } from 'node:timers/promises';
import { RefreshTokenRequest, TokenSet } from '../../dist/generated/postern/v1/auth.js';
import { callersLoad } from '../load/callers.mjs';
import { spread } from '../pairs.mjs';
import { openPostgresCpu } from '../postgres-cpu.mjs';
import { LOGIN, loginMessage, REFRESH } from '../token-fixture.mjs';
import { openFixtureWithUsers } from '../user-fixture.mjs';

/** So many that no user has hundreds of sessions, of which each login would read some. */
const USERS = 400;
const LOGIN_CALLERS = 4;
const REFRESH_CALLERS = 32;
const ROW_COPIES = 100;

/** @returns the costs of an idle service, of logins and of refreshes, and the connections of one service */
export async function measureAuthentication(plan) {
  const fixture = await openFixtureWithUsers(USERS);
  const postgresSeconds = await openPostgresCpu(fixture);
  try {
    const service = await fixture.serve({ pinned: false });
    const read = () => ({ cpu: service.cpuSeconds(), postgres: postgresSeconds() });
    const cost = async (load) => {
      const [before, wal] = [read(), await walPosition(fixture)];
      const { calls, seconds } = await load();
      const after = read();
      return {
        calls,
        seconds,
        cpuSeconds: after.cpu - before.cpu,
        postgresSeconds: after.postgres - before.postgres,
        walBytes: (await walPosition(fixture)) - wal,
      };
    };
    const idleMb = service.memory().nowMb;
    const idle = await cost(async () => {
      await pause(plan.seconds * 1_000);
      return { calls: 0, seconds: plan.seconds };
    });

    const tokens = [];
    const messages = fixture.emails.map(loginMessage);
    const logIn = (seconds) => {
      let turn = 0;
      return callersLoad({
        address: service.grpc,
        path: LOGIN,
        callers: LOGIN_CALLERS,
        seconds,
        next: () => messages[turn++ % messages.length],
        onResponse: (_caller, response) => tokens.push(TokenSet.decode(response).refreshToken),
      });
    };
    await logIn(plan.warmUpSeconds);
    while (tokens.length < REFRESH_CALLERS) await logIn(1);
    const logins = await samplesOf(plan, () => cost(() => logIn(plan.seconds)));
    const sessionBytes = await bytesOfRow(fixture, 'sessions', 'ended_at IS NULL');
    const loginEventBytes = await bytesOfRow(fixture, 'audit_events', "action = 'login'");
    const loginMb = service.memory();

    const held = tokens.slice(-REFRESH_CALLERS);
    const refresh = (seconds) =>
      callersLoad({
        address: service.grpc,
        path: REFRESH,
        callers: REFRESH_CALLERS,
        seconds,
        next: (caller) => RefreshTokenRequest.encode({ refreshToken: held[caller] }).finish(),
        onResponse: (caller, response) => (held[caller] = TokenSet.decode(response).refreshToken),
      });
    await refresh(plan.warmUpSeconds / 2);
    const refreshes = await samplesOf(plan, () => cost(() => refresh(plan.seconds)));
    const refreshEventBytes = await bytesOfRow(fixture, 'audit_events', "action = 'token.refresh'");
    const [{ connections }] = await fixture.query(
      `SELECT count(*)::int AS connections FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = $1`,
      [`postern service ${String(service.pid)}`],
    );
    const refreshMb = service.memory();
    await service.stop();
    return {
      idle: { ...costOf([idle], () => idle.seconds), memoryMb: idleMb },
      login: {
        ...costOf(logins, (one) => one.calls),
        perSecond: spread(logins.map((one) => one.calls / one.seconds)),
        memoryMb: loginMb.peakMb,
        sessionBytes,
        auditBytes: loginEventBytes,
      },
      refresh: {
        ...costOf(refreshes, (one) => one.calls),
        perSecond: spread(refreshes.map((one) => one.calls / one.seconds)),
        memoryMb: refreshMb.peakMb,
        auditBytes: refreshEventBytes,
      },
      connections,
    };
  } finally {
    await fixture.stop();
  }
}

async function samplesOf(plan, sample) {
  const samples = [];
  while (samples.length < plan.samples) samples.push(await sample());
  return samples;
}

/** The cost of one of what `count` counts: milliseconds of CPU, and bytes of the log. */
function costOf(samples, count) {
  const each = (field, factor = 1) => spread(samples.map((one) => (factor * one[field]) / count(one)));
  return {
    cpuMs: each('cpuSeconds', 1_000),
    postgresMs: each('postgresSeconds', 1_000),
    walBytes: each('walBytes'),
  };
}

async function walPosition(fixture) {
  const [{ bytes }] = await fixture.query(`SELECT pg_current_wal_insert_lsn() - '0/0' AS bytes`);
  return Number(bytes);
}

/**
 * Bytes of a row on the disk with its part of the indexes. The rows of a sample fill only a few pages, so they are copied many
 * times into a table with the same indexes.
 */
async function bytesOfRow(fixture, table, where) {
  const copy = `sizing_${table}`;
  await fixture.query(`CREATE TABLE ${copy} (LIKE ${table} INCLUDING ALL)`);
  await fixture.query(
    `INSERT INTO ${copy} SELECT (jsonb_populate_record(original, jsonb_build_object('id', uuidv7()))).*
     FROM ${table} AS original, generate_series(1, $1)
     WHERE original.id IN (SELECT id FROM ${table} WHERE ${where} LIMIT 500)`,
    [ROW_COPIES],
  );
  const [{ bytes }] = await fixture.query(
    `SELECT pg_total_relation_size($1::regclass) / count(*)::float AS bytes FROM ${copy}`,
    [copy],
  );
  await fixture.query(`DROP TABLE ${copy}`);
  return bytes;
}
