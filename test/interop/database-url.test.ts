import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { connectClient } from '../../src/database/connection/connect-client.ts';
import { serversOf } from '../../src/database/connection/database-address.ts';
import { PrimaryConnector } from '../../src/database/connection/primary-connector.ts';
import { withLibpqVariables } from '../../src/net/database-url.ts';
import { createAuthority } from '../support/certificates.ts';
import { freePort, RunningPostgres } from './running-postgres.ts';
import { describeWith, toolPath } from './tool.ts';

const MODES = ['', 'sslmode=disable', 'sslmode=allow', 'sslmode=prefer', 'sslmode=require'];
const VERIFYING = ['sslmode=verify-ca', 'sslmode=verify-full'];

/** `t`, `f` (encrypted or not) or `refused`, by psql with nothing of this machine's in its environment. */
async function byPsql(url: string, variables: Record<string, string> = {}): Promise<string> {
  const child = spawn(
    toolPath('psql'),
    ['-XAtc', 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()', url],
    {
      env: { PATH: process.env['PATH'], HOME: '/nonexistent', ...variables },
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  );
  let output = '';
  child.stdout.on('data', (data) => (output += String(data)));
  const [exitCode] = (await once(child, 'close')) as [number];
  return exitCode === 0 ? output.trim() : 'refused';
}

async function byPostern(url: string, variables: Record<string, string> = {}): Promise<string> {
  try {
    const servers = serversOf({ url: withLibpqVariables(url, variables) });
    const client = await new PrimaryConnector(servers).connect(
      (server) => connectClient(server, { limitMs: 5_000 }),
      (unwanted) => void unwanted.end(),
    );
    const { rows } = await client.query<{ ssl: boolean }>(
      'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
    );
    await client.end();
    return rows[0]?.ssl === true ? 't' : 'f';
  } catch {
    return 'refused';
  }
}

describeWith('postgres', 'DATABASE_URL beside psql', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-database-url-'));
  const authority = createAuthority('the authority');
  const files = { right: join(folder, 'right.pem'), wrong: join(folder, 'wrong.pem') };
  let servers: Record<'without TLS' | 'with TLS' | 'hostssl only' | 'hostnossl only', RunningPostgres>;

  beforeAll(async () => {
    writeFileSync(files.right, authority.cert);
    writeFileSync(files.wrong, createAuthority('another authority').cert);
    const tls = authority.issue({});
    servers = {
      'without TLS': await RunningPostgres.create(),
      'with TLS': await RunningPostgres.create({ tls }),
      'hostssl only': await RunningPostgres.create({ tls, access: 'hostssl all all 127.0.0.1/32 trust' }),
      'hostnossl only': await RunningPostgres.create({ tls, access: 'hostnossl all all 127.0.0.1/32 trust' }),
    };
  }, 60_000);
  afterAll(async () => {
    for (const server of Object.values(servers)) await server.remove();
    rmSync(folder, { recursive: true });
  });

  test.each(['without TLS', 'with TLS', 'hostssl only', 'hostnossl only'] as const)(
    'every sslmode at a server %s',
    async (name) => {
      const { port } = servers[name];
      const queries = [
        ...MODES,
        ...[...MODES, ...VERIFYING].flatMap((mode) =>
          [files.right, files.wrong].map((file) => `sslrootcert=${file}&${mode}`),
        ),
      ];
      for (const host of ['127.0.0.1', 'localhost']) {
        for (const query of queries) {
          const url = `postgres://postern@${host}:${port}/postgres?${query}`;
          expect([query, host, await byPostern(url)]).toEqual([query, host, await byPsql(url)]);
        }
      }
    },
    60_000,
  );

  test('hosts and ports in the query, and parts that are percent-encoded', async () => {
    const { port } = servers['with TLS'];
    const nobody = await freePort();
    for (const rest of [
      `/postgres?host=127.0.0.1&port=${port}`,
      `/postgres?host=127.0.0.1,127.0.0.1&port=${nobody},${port}`,
      `127.0.0.1:${nobody},127.0.0.1:${port}/postgres`,
      `127.0.0.1,localhost/postgres?port=${port}`,
      `127.0.0.1:${port}/post%67res`,
      `127.0.0.1:${port}/postgres?password=&sslrootcert=&`,
      `127.0.0.1:${port}/none?dbname=postgres`,
      `127.0.0.1:${port}/postgres?options=-c%20search_path%3Dapp`,
      `127.0.0.1:${port}/postgres?ssl=true`,
      `127.0.0.1:${port}/postgres?channel_binding=prefer&gssencmode=disable&connect_timeout=10`,
    ]) {
      const url = `postgres://postern@${rest}`;
      expect([rest, await byPostern(url)]).toEqual([rest, await byPsql(url)]);
      expect([rest, await byPostern(url)]).toEqual([rest, 't']);
    }
  });

  test('what the variables of libpq say', async () => {
    const { port } = servers['with TLS'];
    for (const variables of [
      { PGSSLMODE: 'disable' },
      { PGSSLMODE: 'bogus' },
      { PGPORT: '1' },
      { PGHOSTADDR: '127.0.0.2' },
      { PGSERVICE: 'none' },
      { PGSSLMODE: 'verify-ca', PGSSLROOTCERT: files.right },
      { PGSSLMODE: 'verify-ca', PGSSLROOTCERT: files.wrong },
      { PGSSLMAXPROTOCOLVERSION: 'TLSv1.1' },
    ]) {
      const url = `postgres://postern@127.0.0.1:${port}/postgres`;
      expect([variables, await byPostern(url, variables)]).toEqual([variables, await byPsql(url, variables)]);
    }
  });

  test('what is wrong for both', async () => {
    const { port } = servers['with TLS'];
    for (const rest of [
      `127.0.0.1:${port}/postgres?sslmod=require`,
      `127.0.0.1:${port}/postgres?sslmode=on`,
      `127.0.0.1:${port}/postgres?sslmode`,
      `127.0.0.1:${port}/postgres?sslmode=`,
      `127.0.0.1:${port}/postgres?channel_binding=`,
      `127.0.0.1:${port}/postgres?ssl_min_protocol_version=TLSv1.3&ssl_max_protocol_version=TLSv1.2`,
      `127.0.0.1:${port}/postgres?ssl_max_protocol_version=TLSv1.1`,
      `127.0.0.1:${port}/postgres?password=%00`,
      `127.0.0.1:${port}/postgres?&sslmode=require`,
      `127.0.0.1,localhost/postgres?port=${port},${port},${port}`,
      `127.0.0.1:70000/postgres`,
      `127.0.0.1:${port}/post%zzgres`,
      `127.0.0.1:${port}/postgres?sslmode=verify-full`,
      `127.0.0.1:${port}/postgres?sslmode=verify-ca`,
    ]) {
      const url = `postgres://postern@${rest}`;
      expect([rest, await byPostern(url), await byPsql(url)]).toEqual([rest, 'refused', 'refused']);
    }
  });
});
