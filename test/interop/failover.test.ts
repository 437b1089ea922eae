import { Metadata, status } from '@grpc/grpc-js';
import { afterAll, expect, test } from '@jest/globals';

import { transactionOf } from '../../src/trust/revocation-position.ts';
import { endEveryPostern, runPostern } from '../support/run-postern.ts';
import { type ServiceProcess, startServiceProcess, untilReady } from '../support/service-process.ts';
import { masterKey } from '../support/test-service.ts';
import { TrustWatch } from '../support/trust-watch.ts';
import { RunningPostgres } from './running-postgres.ts';
import { describeWith } from './tool.ts';
import { until } from './until.ts';

const credentials = { email: 'ada@example.com', password: 'correct horse battery' };
interface Tokens {
  readonly access: string;
  readonly refresh: string;
  readonly session: string;
}

async function login(service: ServiceProcess): Promise<Tokens> {
  const { response, message, reason } = await service.call('postern.v1.AuthService/Login', credentials);
  if (!response) throw new Error(`${message} ${reason ?? ''}`);
  const field = (name: string) => String(response[name]);
  return { access: field('access_token'), refresh: field('refresh_token'), session: field('session_id') };
}

async function verdict(service: ServiceProcess, { access }: Tokens): Promise<string | status> {
  const answer = await service.call('postern.v1.AuthService/VerifyToken', { access_token: access });
  return answer.reason ?? answer.code;
}

const revoke = (service: ServiceProcess, { refresh }: Tokens) =>
  service.call('postern.v1.AuthService/RevokeToken', { token: refresh });

describeWith('postgres', 'a primary that is lost', () => {
  let servers: RunningPostgres[];
  let services: ServiceProcess[];
  let url: string;
  const watches: TrustWatch[] = [];
  let watcher: Metadata;

  async function startPair(): Promise<readonly [RunningPostgres, RunningPostgres]> {
    const primary = await RunningPostgres.create();
    servers = [primary];
    await primary.query('CREATE DATABASE postern');
    const standby = await RunningPostgres.standbyOf(primary);
    servers = [primary, standby];
    url = `postgres://postern@127.0.0.1:${primary.port},127.0.0.1:${standby.port}/postern?target_session_attrs=read-write`;
    const first = await startServiceProcess(url);
    services = [first];
    services.push(await startServiceProcess(url));
    await Promise.all(services.map(untilReady));
    await command(['user', 'create', '--email', credentials.email, '--password-stdin'], credentials.password);
    const account = await command(['service', 'create', 'watcher', '--json']);
    const { response } = await first.call(
      'postern.v1.AuthService/IssueServiceToken',
      JSON.parse(account) as object as Record<string, unknown>,
    );
    watcher = new Metadata();
    watcher.set('authorization', `Bearer ${String(response?.['access_token'])}`);
    return [primary, standby];
  }

  async function command(words: readonly string[], stdin = ''): Promise<string> {
    const environment = { DATABASE_URL: url, POSTERN_MASTER_KEY: masterKey };
    const { exitCode, stdout, stderr } = await runPostern(words, { environment, stdin });
    if (exitCode !== 0) throw new Error(stderr);
    return stdout;
  }

  function watch({ grpcAddress }: ServiceProcess, cursor = ''): TrustWatch {
    const made = new TrustWatch(grpcAddress, cursor, { metadata: watcher });
    watches.push(made);
    return made;
  }

  async function stopAll(): Promise<void> {
    await Promise.all(watches.splice(0).map((each) => each.close()));
    await Promise.all(services.map((service) => service.stop()));
    await Promise.all(servers.map((server) => server.remove()));
  }

  afterAll(() => endEveryPostern());

  test('D12 with a synchronous standby no acknowledged write is lost, and the service continues', async () => {
    const [primary, standby] = await startPair();
    try {
      await primary.query(`ALTER SYSTEM SET synchronous_standby_names = 'standby'`);
      await primary.query('SELECT pg_reload_conf()');
      await until(async () => {
        const [row] = await primary.query(`SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'`);
        return row !== undefined;
      });
      const [one, other] = services as [ServiceProcess, ServiceProcess];
      const [kept, ended, later] = [await login(one), await login(one), await login(one)];
      const lasting = watch(one);
      await lasting.complete();
      const away = watch(other);
      await away.complete();
      await away.close();
      // Acknowledged immediately before the crash.
      expect((await revoke(one, ended)).code).toBe(status.OK);
      await primary.crash();

      // Verification continues from memory, and writes fail with UNAVAILABLE.
      expect(await verdict(other, kept)).toBe(status.OK);
      expect((await revoke(one, later)).code).toBe(status.UNAVAILABLE);
      const promotedMs = performance.now();
      await standby.promote();
      const fresh = await until(() => login(one));
      const backMs = performance.now() - promotedMs;
      process.stderr.write(`failover: logins work ${Math.round(backMs)} ms after the promotion began\n`);
      expect(backMs).toBeLessThan(5_000);

      expect(await verdict(one, ended)).toBe('TOKEN_REVOKED');
      expect(await verdict(other, ended)).toBe('TOKEN_REVOKED');
      const refreshed = await one.call('postern.v1.AuthService/RefreshToken', {
        refresh_token: ended.refresh,
      });
      expect(refreshed.reason).toBe('REFRESH_TOKEN_REVOKED');
      expect(await verdict(other, fresh)).toBe(status.OK);

      // The services listen again, on the new primary: notified by it, not only by the poll.
      await until(async () => {
        const [row] = await standby.query(
          `SELECT count(*)::int AS count FROM pg_stat_activity WHERE query = 'LISTEN postern_trust'`,
        );
        return row?.['count'] === services.length;
      });
      expect((await revoke(one, later)).code).toBe(status.OK);
      await until(async () => (await verdict(other, later)) === 'TOKEN_REVOKED');
      await lasting.until(() => lasting.revoked.has(`sid ${later.session}`));
      // A cursor from before the failover gets everything, since transaction numbers may have gone back.
      const back = watch(other, away.cursor);
      await back.until(
        () => back.revoked.has(`sid ${later.session}`) && back.revoked.has(`sid ${ended.session}`),
      );
      expect(await Promise.all(services.map((service) => service.probe('/readyz')))).toEqual([200, 200]);
    } finally {
      await stopAll();
    }
  }, 90_000);

  test('S13 when a lagging standby reuses transaction numbers, no revocation is missed', async () => {
    const [primary, standby] = await startPair();
    try {
      const [one, other] = services as [ServiceProcess, ServiceProcess];
      const tokens = await login(one);
      const [{ lsn } = {}] = await primary.query('SELECT pg_current_wal_flush_lsn()::text AS lsn');
      await until(async () => {
        const [row] = await standby.query(`SELECT pg_last_wal_replay_lsn() >= '${String(lsn)}' AS caught_up`);
        return row?.['caught_up'] === true;
      });
      await standby.query(`ALTER SYSTEM SET primary_conninfo = ''`);
      await standby.query('SELECT pg_reload_conf()');
      await until(async () => (await primary.query('SELECT 1 FROM pg_stat_replication')).length === 0);
      // The standby never gets this revocation, and every instance has passed its number.
      const lost = await login(one);
      expect((await revoke(one, lost)).code).toBe(status.OK);
      await primary.query(
        'DO $$ BEGIN FOR i IN 1..50 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$',
      );
      const [{ xid } = {}] = await primary.query('SELECT pg_current_xact_id()::text AS xid');
      const watching = watch(other);
      await watching.until(() => watching.revoked.has(`sid ${lost.session}`));

      const beside = watch(one);
      const passed = (each: TrustWatch) =>
        transactionOf(BigInt(each.cursor.split('.')[1] ?? '0')) > BigInt(String(xid));
      await Promise.all([watching, beside].map((each) => each.until(() => passed(each))));
      const cursor = watching.cursor;
      // Frozen until the new primary has passed every number that they know: they never see its numbers go back.
      for (const { pid } of services) process.kill(pid, 'SIGSTOP');
      await primary.crash();
      await standby.promote();
      // Written with a number below those that the instances know, before they have found the new primary.
      const [written] = await standby.query(
        `INSERT INTO revocations (kind, id, expires_at) VALUES ('sid', '${tokens.session}', now() + interval '1 hour')
         RETURNING written_by::text`,
        'postern',
      );
      await standby.query(
        'DO $$ BEGIN FOR i IN 1..90 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$',
      );
      expect(BigInt(String(written?.['written_by']))).toBeLessThan(BigInt(String(xid)));
      for (const { pid } of services) process.kill(pid, 'SIGCONT');
      for (const service of services) {
        await until(async () => (await verdict(service, tokens)) === 'TOKEN_REVOKED');
      }
      await watching.until(() => watching.revoked.has(`sid ${tokens.session}`));
      // The session known only to the lost primary stays revoked where its end was seen; its refresh token is invalid.
      expect(await verdict(one, lost)).toBe('TOKEN_REVOKED');
      const refreshed = await one.call('postern.v1.AuthService/RefreshToken', {
        refresh_token: lost.refresh,
      });
      expect(refreshed.reason).toBe('REFRESH_TOKEN_INVALID');
      const resumed = watch(one, cursor);
      await resumed.until(() => resumed.revoked.has(`sid ${tokens.session}`));
    } finally {
      for (const { pid } of services) process.kill(pid, 'SIGCONT');
      await stopAll();
    }
  }, 90_000);
});
