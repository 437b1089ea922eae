import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { openAdminFixture } from '../support/admin-fixture.ts';
import { runHere } from '../support/run-here.ts';
import { serviceEnvironment } from '../support/service-environment.ts';
import { startTestService, type TestService } from '../support/test-service.ts';
import { describeWith, toolPath } from './tool.ts';
import { until } from './until.ts';

const email = 'ann@example.com';
const password = 'correct horse battery';
const settings = { POSTERN_AUDIENCE: 'postern,billing', POSTERN_JWKS_MAX_AGE: '1s' };
const issuer = 'http://127.0.0.1:8080';

/** A program that keeps the key set as its library does, and says of each token whether it accepts it. */
class Verifying {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  #stderr = '';

  constructor(tool: string, words: readonly string[]) {
    this.#child = spawn(toolPath(tool), words, { env: { ...process.env, CACHE_SECONDS: '1' } });
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text));
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** `accepted SUBJECT`, or `refused` and why. */
  async ask(token: string): Promise<string> {
    this.#child.stdin.write(`${token}\n`);
    const line = await this.#lines.next();
    if (line.done === true) throw new Error(`the program ended: ${this.#stderr}`);
    return line.value;
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.stdin.end();
    this.#child.kill();
    await ended;
  }
}

const kidOf = (token: string) =>
  (JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()) as { kid: string }).kid;

const LIBRARIES = [
  ['jwt-python', 'PyJWT', ['pyjwt']],
  ['jwt-python', 'Authlib', ['authlib']],
  ['jwt-go', 'go-oidc', ['oidc']],
  ['jwt-go', 'keyfunc', ['keyfunc']],
  ['jwt-node', 'jwks-rsa', []],
  ['jwt-java', 'Nimbus', ['nimbus']],
  ['jwt-java', 'Spring Security', ['spring']],
] as const;

for (const [tool, title, words] of LIBRARIES) {
  describeWith(tool, `tokens verified by ${title} with the published keys`, () => {
    let service: TestService;
    let userId: string;
    let program: Verifying;

    beforeAll(async () => {
      service = await startTestService(settings);
      userId = await service.addUser(email, password, ['reader']);
      program = new Verifying(tool, [
        ...words,
        `${service.httpUrl}/.well-known/jwks.json`,
        issuer,
        'postern',
      ]);
    });
    afterAll(async () => {
      await program.stop();
      await service.stop();
    });

    const login = (audience = 'postern') => service.tokenOf(email, password, audience);
    const rotate = async (...command: string[]) => {
      const environment = { ...serviceEnvironment(service.database.url), ...settings };
      const end = await runHere(['key', ...command], { environment });
      expect([end.exitCode, end.stderr]).toEqual([0, '']);
    };
    /** A token of another key than `before`. */
    const loginAfter = (before: string) =>
      until(async () => {
        const token = await login();
        return kidOf(token) !== before && token;
      });

    test('good tokens are accepted and others refused', async () => {
      const token = await login();
      expect(await program.ask(token)).toBe(`accepted ${userId}`);
      const { id, secret } = await (await openAdminFixture(service.database)).createService('orders');
      const issued = await service.call('postern.v1.AuthService/IssueServiceToken', {
        client_id: id,
        client_secret: secret,
      });
      expect(await program.ask(String(issued.response?.['access_token']))).toBe(`accepted ${id}`);
      for (const bad of [
        await login('billing'),
        `${token.slice(0, -10)}${token.at(-10) === 'A' ? 'B' : 'A'}${token.slice(-9)}`,
        `${Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')}.${token.split('.')[1] ?? ''}.`,
        'junk',
      ])
        expect(await program.ask(bad)).toMatch(/^refused /);
    });

    test('a rotation of the keys causes no refusal, and the program is not restarted', async () => {
      const before = await login();
      await rotate('rotate');
      const after = await loginAfter(kidOf(before));
      expect(await program.ask(after)).toBe(`accepted ${userId}`);
      expect(await program.ask(before)).toBe(`accepted ${userId}`);
    });

    test('the tokens of a revoked key are refused, as soon as the program has read the keys again', async () => {
      const stolen = await login();
      expect(await program.ask(stolen)).toBe(`accepted ${userId}`);
      await rotate('revoke', kidOf(stolen));
      const after = await loginAfter(kidOf(stolen));
      await until(async () => {
        expect(await program.ask(after)).toBe(`accepted ${userId}`);
        return (await program.ask(stolen)).startsWith('refused ');
      });
    });
  });
}
