import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Client } from 'pg';

import { endEveryPostern, runPostern } from '../support/run-postern.ts';
import { startServiceProcess, untilReady } from '../support/service-process.ts';
import { masterKey } from '../support/test-service.ts';
import { asNobody, freePort, RunningPostgres } from './running-postgres.ts';
import { describeWith, toolPath } from './tool.ts';
import { until } from './until.ts';

const credentials = { email: 'ada@example.com', password: 'correct horse battery' };

describeWith('pgbouncer', 'through PgBouncer', () => {
  let postgres: RunningPostgres;
  const folder = mkdtempSync(join(tmpdir(), 'postern-pgbouncer-'));

  beforeAll(async () => {
    postgres = await RunningPostgres.create();
    await postgres.query('CREATE DATABASE postern');
    if (process.getuid?.() === 0) chownSync(folder, 65_534, 65_534);
  }, 60_000);
  afterAll(async () => {
    await endEveryPostern();
    await postgres.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  async function throughBouncer(options: string, work: (url: string) => Promise<void>): Promise<void> {
    const port = await freePort();
    const file = join(folder, 'pgbouncer.ini');
    const database = `postern = host=127.0.0.1 port=${postgres.port} dbname=postern user=postern`;
    const own = `listen_addr = 127.0.0.1\nlisten_port = ${port}\nunix_socket_dir =\nauth_type = any\n${options}`;
    writeFileSync(file, `[databases]\n${database}\n[pgbouncer]\n${own}\n`);
    const child = spawn(toolPath('pgbouncer'), ['-q', file], { ...asNobody(), stdio: 'ignore' });
    const ended = once(child, 'close');
    const url = `postgres://postern@127.0.0.1:${port}/postern`;
    try {
      await until(async () => {
        const client = new Client({ connectionString: url });
        client.on('error', () => undefined);
        await client.connect();
        await client.end();
        return true;
      });
      await work(url);
    } finally {
      child.kill('SIGTERM');
      await ended;
    }
  }

  const run = (url: string, words: readonly string[], stdin = '') =>
    runPostern(words, {
      environment: {
        DATABASE_URL: url,
        POSTERN_MASTER_KEY: masterKey,
        POSTERN_GRPC_LISTEN: '127.0.0.1:0',
        POSTERN_HTTP_LISTEN: '127.0.0.1:0',
      },
      stdin,
    });

  test('session pooling works, and the alarm listens through it', () =>
    throughBouncer('pool_mode = session', async (url) => {
      const service = await startServiceProcess(url);
      await untilReady(service);
      await run(
        url,
        ['user', 'create', '--email', credentials.email, '--password-stdin'],
        credentials.password,
      );
      expect((await service.call('postern.v1.AuthService/Login', credentials)).code).toBe(status.OK);
      const [listening] = await postgres.query(
        `SELECT 1 FROM pg_stat_activity WHERE query = 'LISTEN postern_trust'`,
      );
      expect(listening).toBeDefined();
      await service.stop();
    }));

  test('doctor has nothing to say about session pooling', () =>
    throughBouncer('pool_mode = session', async (url) => {
      const { stdout } = await run(url, ['doctor']);
      expect(stdout).toMatch(/^ok +database/m);
      expect(stdout).not.toContain('pooler');
    }));

  test('doctor calls transaction pooling a fault', () =>
    throughBouncer('pool_mode = transaction', async (url) => {
      const { exitCode, stdout } = await run(url, ['doctor']);
      expect(exitCode).not.toBe(0);
      expect(stdout).toContain('transaction pooling');
    }));
});
