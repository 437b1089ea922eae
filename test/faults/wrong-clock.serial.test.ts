import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { decode } from '../security/forge.ts';
import { account, type Tokens } from '../support/account.ts';
import { until } from '../support/wait-for.ts';
import { endEveryPostern, runPostern } from '../support/run-postern.ts';
import { scrape } from '../support/scrape.ts';
import { openAdminFixture } from '../support/admin-fixture.ts';
import { type ServiceProcess, startServiceProcess, untilReady } from '../support/service-process.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { addUser, masterKey } from '../support/test-service.ts';

const AHEAD_MS = 250_000;
/** So short that a token issued now has long expired by a clock that is ahead. */
const TTL_SECONDS = 60;
const environment = { POSTERN_ACCESS_TOKEN_TTL: `${TTL_SECONDS}s` };
const ann = { email: 'ann@example.com', password: 'correct horse battery' };
const shifted = new URL('../support/shifted-clock.mjs', import.meta.url).href;
let store: TestDatabase;
let right: ServiceProcess;
let ahead: ServiceProcess;

beforeAll(async () => {
  store = await createTestDatabase();
  await addUser(store, ann.email, ann.password);
  right = await startServiceProcess(store.url, environment);
  ahead = await startServiceProcess(store.url, environment, AHEAD_MS);
  await Promise.all([untilReady(right), untilReady(ahead)]);
});
afterAll(async () => {
  await endEveryPostern();
  await store.drop();
});

const login = (on: ServiceProcess): Promise<Tokens> => account.login(on, ann.email, ann.password);

interface Times {
  readonly iat: number;
  readonly exp: number;
  readonly jti: string;
}

const timesOf = (token: string) => JSON.parse(decode(token.split('.')[1] ?? '')) as Times;

async function revokedUntil(id: string): Promise<number> {
  const rows = await store.query(
    'SELECT extract(epoch FROM expires_at)::float8 AS until FROM revocations WHERE id = $1',
    [id],
  );
  return Number(rows[0]?.['until']);
}

const refused = (service: ServiceProcess, token: string) =>
  until(async () => (await account.verdict(service, token)) === 'TOKEN_REVOKED', 'it is refused', 2_000);

describe('S17 an instance whose clock is 250 s ahead', () => {
  const ways: [string, () => Promise<Tokens>][] = [
    ['a login', () => login(ahead)],
    ['a refresh', async () => account.refresh(ahead, (await login(right)).refresh_token)],
    [
      'a repeated refresh',
      async () => {
        const { refresh_token } = await login(right);
        await account.refresh(right, refresh_token);
        return account.refresh(ahead, refresh_token);
      },
    ],
  ];
  test.each(ways)(
    '%s gives a token that is valid everywhere, and its revocation is kept until it expires',
    async (_name, get) => {
      const tokens = await get();
      const { exp } = timesOf(tokens.access_token);
      expect(exp - Date.now() / 1000).toBeLessThanOrEqual(TTL_SECONDS + 5);
      expect([
        await account.verdict(right, tokens.access_token),
        await account.verdict(ahead, tokens.access_token),
      ]).toEqual(['OK', 'OK']);
      expect(await account.revoke(right, tokens.refresh_token)).toBe('OK');
      await Promise.all([refused(ahead, tokens.access_token), refused(right, tokens.access_token)]);
      // Long enough for a verifier with 5 s of skew whose clock is a minute behind.
      expect(await revokedUntil(tokens.session_id)).toBeGreaterThanOrEqual(exp + 65);
    },
  );

  test('issues a service token that is valid everywhere, and its revocation is kept until it expires', async () => {
    const fixture = await openAdminFixture(store);
    const { id, secret } = await fixture.createService('shop');
    const { response } = await ahead.call('postern.v1.AuthService/IssueServiceToken', {
      client_id: id,
      client_secret: secret,
    });
    const token = String(response?.['access_token']);
    const { exp, jti } = timesOf(token);
    expect(exp - Date.now() / 1000).toBeLessThanOrEqual(TTL_SECONDS + 5);
    expect(await account.verdict(right, token)).toBe('OK');
    await fixture.deleteService(id);
    await refused(right, token);
    expect(await revokedUntil(jti)).toBeGreaterThanOrEqual(exp + 65);
  });

  test('revokes a token that has expired by its own clock only', async () => {
    const tokens = await login(right);
    expect(await account.revoke(ahead, tokens.access_token)).toBe('OK');
    await refused(right, tokens.access_token);
  });

  test('reports the difference in its metrics and once in its log', async () => {
    const offsetOf = async ({ httpUrl }: ServiceProcess) =>
      (await scrape(httpUrl)).value('postern_clock_offset_seconds');
    expect(await offsetOf(ahead)).toBeCloseTo(AHEAD_MS / 1000, 0);
    expect(await offsetOf(right)).toBeCloseTo(0, 0);
    const linesOf = ({ running }: ServiceProcess) =>
      running.output.stderr.split('\n').filter((line) => line.includes('"clock-differs"'));
    expect(linesOf(right)).toEqual([]);
    expect(linesOf(ahead)).toHaveLength(1);
    expect(JSON.parse(linesOf(ahead)[0] ?? '')).toMatchObject({ ahead_seconds: AHEAD_MS / 1000 });
  });

  test.each([
    [AHEAD_MS, 'warning', /^this machine's clock is 2(50\.0|49\.9|50\.1) s ahead of the database's$/],
    [-AHEAD_MS, 'warning', /^this machine's clock is 2(50\.0|49\.9|50\.1) s behind the database's$/],
    [0, 'ok', / differ by 0\.\d s$/],
  ])('doctor reports the difference: %d ms', async (shiftMs, verdict, says) => {
    const { stdout, exitCode } = await runPostern(['doctor', '--json'], {
      environment: {
        DATABASE_URL: store.url,
        POSTERN_MASTER_KEY: masterKey,
        NODE_OPTIONS: `--import=${shifted}`,
        CLOCK_SHIFT_MS: String(shiftMs),
      },
    });
    const findings = JSON.parse(stdout) as { about: string; verdict: string; says: string }[];
    expect(findings.filter(({ about }) => about === 'clock')).toEqual([
      expect.objectContaining({ verdict, says: expect.stringMatching(says) as unknown }),
    ]);
    expect(exitCode).toBe(0);
  });
});
