import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { DatabaseProxy } from '../support/database-proxy.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { startTestService, type TestService } from '../support/test-service.ts';
import { account } from '../support/account.ts';
import { openAdminFixture } from '../support/admin-fixture.ts';
import { runTool } from './run-tool.ts';
import { describeWith, toolPath } from './tool.ts';
import { until } from './until.ts';

const email = 'ann@example.com';
const password = 'correct horse battery';
const languages = [
  { tool: 'python-client', flag: '--', unauthenticated: 'UNAUTHENTICATED', unavailable: 'UNAVAILABLE' },
  { tool: 'go-client', flag: '-', unauthenticated: 'Unauthenticated', unavailable: 'Unavailable' },
];

for (const { tool, flag, unauthenticated, unavailable } of languages) {
  describeWith(tool, `the example ${tool}`, () => {
    let database: TestDatabase;
    let proxy: DatabaseProxy;
    let service: TestService;

    beforeAll(async () => {
      database = await createTestDatabase();
      proxy = new DatabaseProxy(database.url);
      const { username, pathname } = new URL(database.url);
      const url = `postgres://${username}@127.0.0.1:${await proxy.open()}${pathname}`;
      service = await startTestService({ DATABASE_URL: url }, database);
    });
    afterAll(async () => {
      await service.stop();
      await proxy.close();
      await database.drop();
    });

    const run = (secret: string, who = email) =>
      runTool(tool, [`${flag}address`, service.grpcAddress, `${flag}email`, who], secret);

    test('logs in, verifies, refreshes, revokes and reads a refusal', async () => {
      const userId = await service.addUser(email, password, ['editor', 'reader']);
      const { exitCode, stdout, stderr } = await run(password);
      expect([exitCode, stderr]).toEqual([0, '']);
      const [loggedIn, verified, refreshed, revoked, refused, rest] = stdout.split('\n');
      const session = /session ([0-9a-f-]{36}), access token valid for 600 s$/.exec(loggedIn ?? '')?.[1];
      expect(session).toBeDefined();
      expect(verified).toBe(`verified: USER ${userId}, roles editor,reader`);
      expect(refreshed).toBe(`refreshed: session ${session ?? ''}`);
      expect([revoked, rest]).toEqual(['revoked', '']);
      expect(refused).toMatch(new RegExp(`^refused: ${unauthenticated} TOKEN_REVOKED: \\S`));
    });

    test('reports a failed login and an invalid argument', async () => {
      const wrong = await run('a wrong password');
      expect([wrong.exitCode, wrong.stdout]).toEqual([1, '']);
      expect(wrong.stderr).toMatch(new RegExp(`^${unauthenticated} INVALID_CREDENTIALS: `));
      const requestId = /request id (\S+)/.exec(wrong.stderr)?.[1] ?? 'none';
      expect(service.logLines.some((line) => line.includes(requestId))).toBe(true);
      expect((await run(password, 'x')).stderr).toMatch(/FIELD_INVALID: .*; email: \S/);
    });

    test('retries after the delay that the service gives while the database is unavailable', async () => {
      await proxy.close();
      const { exitCode, stderr } = await run(password);
      expect(exitCode).toBe(1);
      const reported = stderr
        .split('\n')
        .filter((line) => line.startsWith(`${unavailable} STORE_UNAVAILABLE: `));
      expect(reported).toHaveLength(3);
      expect(reported[0]).toMatch(/\(retry after 1 ?s\)/);
    });
  });
}

describeWith('go-client', 'the example of a service in Go', () => {
  test('lets a token in, and refuses it when it was revoked a moment ago', async () => {
    const service = await startTestService();
    await service.addUser(email, password, ['editor']);
    const { id, secret } = await (await openAdminFixture(service.database)).createService('orders');
    const program = spawn(
      toolPath('go-service'),
      ['-address', service.grpcAddress, '-listen', '127.0.0.1:0'],
      {
        env: { ...process.env, POSTERN_CLIENT_ID: id, POSTERN_CLIENT_SECRET: secret },
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    try {
      const [line] = (await once(createInterface(program.stdout), 'line')) as [string];
      const url = `http://${line.replace('listening on ', '')}`;
      const tokens = await account.login(service, email, password);
      const get = async (path: string) => {
        const response = await fetch(url + path, {
          headers: { authorization: `Bearer ${tokens.access_token}` },
        });
        return [response.status, await response.json()] as [number, Record<string, unknown>];
      };
      expect(await get('/me')).toEqual([200, expect.objectContaining({ roles: ['editor'] })]);
      expect(await get('/admin')).toEqual([403, expect.objectContaining({ error: 'ROLE_MISSING' })]);
      expect(await account.revoke(service, tokens.refresh_token)).toBe('OK');
      await until(async () => (await get('/me'))[0] === 401);
      expect((await get('/me'))[1]).toMatchObject({ error: 'TOKEN_REVOKED' });
    } finally {
      program.kill();
      await once(program, 'exit');
      await service.stop();
    }
  });
});
