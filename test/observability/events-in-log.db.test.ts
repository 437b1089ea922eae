import { randomUUID } from 'node:crypto';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { auditRateLimits } from '../../src/features/audit/audit-rate-limiter.ts';
import { scrape } from '../support/scrape.ts';
import { type Message, startTestService, type TestService } from '../support/test-service.ts';

const AUTH = 'postern.v1.AuthService';
const ADMIN = 'postern.v1.AdminService';
const email = 'ada@example.com';
const password = 'correct horse battery';
let service: TestService;
let bearer: { authorization: string };
beforeAll(async () => {
  service = await startTestService({ POSTERN_REFRESH_GRACE: '0s' });
  await service.addUser(email, password, ['admin']);
  bearer = { authorization: `Bearer ${await service.tokenOf(email, password)}` };
});
afterAll(() => service.stop());

interface Line {
  readonly level: string;
  readonly event: string;
  readonly method?: string;
  readonly code?: string;
  readonly reason?: string;
  readonly request_id?: string;
}

/** Calls with a request id of its own. @returns the lines at level info or above with that id, and the response */
async function called(method: string, request: Message, metadata: Record<string, string> = {}) {
  const id = randomUUID();
  const { response } = await service.call(method, request, { ...metadata, 'x-request-id': id });
  const lines = service.logLines
    .map((line) => JSON.parse(line) as Line)
    .filter(({ request_id, level }) => request_id === id && level !== 'debug');
  return { lines, response };
}

test('O03 each event of a session is one line, granted or refused', async () => {
  const expectOne = (lines: readonly Line[], method: string, code: string, reason?: string) => {
    expect(lines).toEqual([expect.objectContaining({ event: 'call', method: `/${method}`, code })]);
    expect(lines[0]?.reason).toBe(reason);
  };
  const login = await called(`${AUTH}/Login`, { email, password });
  expectOne(login.lines, `${AUTH}/Login`, 'OK');
  const refresh = { refresh_token: login.response?.['refresh_token'] };
  expectOne((await called(`${AUTH}/RefreshToken`, refresh)).lines, `${AUTH}/RefreshToken`, 'OK');
  expectOne(
    (await called(`${AUTH}/RefreshToken`, refresh)).lines,
    `${AUTH}/RefreshToken`,
    'UNAUTHENTICATED',
    'REFRESH_TOKEN_REUSED',
  );
  const revoke = { token: login.response?.['access_token'] };
  expectOne((await called(`${AUTH}/RevokeToken`, revoke)).lines, `${AUTH}/RevokeToken`, 'OK');

  const stranger = { email: 'nobody@example.com', password: 'a guess' };
  const wrong = await called(`${AUTH}/Login`, stranger);
  expectOne(wrong.lines, `${AUTH}/Login`, 'UNAUTHENTICATED', 'INVALID_CREDENTIALS');
  let throttled = wrong;
  while (throttled.lines[0]?.reason === 'INVALID_CREDENTIALS')
    throttled = await called(`${AUTH}/Login`, stranger);
  expectOne(throttled.lines, `${AUTH}/Login`, 'RESOURCE_EXHAUSTED', 'LOGIN_RATE_LIMITED');
});

test('O03 each administrative call and each change of keys is one line', async () => {
  const user = { email: 'bob@example.com', password: 'another horse battery' };
  for (const [method, request] of [
    ['CreateUser', user],
    ['ListUsers', {}],
    ['RotateSigningKey', {}],
  ] as const) {
    const { lines } = await called(`${ADMIN}/${method}`, request, bearer);
    expect(lines).toEqual([expect.objectContaining({ method: `/${ADMIN}/${method}`, code: 'OK' })]);
  }
  const { lines } = await called(`${ADMIN}/ListUsers`, {});
  expect(lines).toEqual([expect.objectContaining({ reason: 'CREDENTIALS_MISSING' })]);
});

test('a token verification is not logged as an event', async () => {
  const { lines } = await called(`${AUTH}/VerifyToken`, { access_token: bearer.authorization.slice(7) });
  expect(lines).toEqual([]);
});

test('O03 in a flood of junk the log has lines up to the budget and the omitted number; the metrics count every call', async () => {
  const own = await startTestService({}, service.database);
  const calls = 2 * auditRateLimits.perSource;
  const lines = () => own.logLines.map((line) => JSON.parse(line) as Line);
  const refused = () => lines().filter(({ reason }) => reason === 'TOKEN_MALFORMED').length;
  for (let left = calls; left > 0; left -= 100) {
    const junk = () => own.call(`${AUTH}/VerifyToken`, { access_token: 'junk' });
    await Promise.all(Array.from({ length: 100 }, junk));
  }
  expect(refused()).toBeGreaterThanOrEqual(auditRateLimits.perSource);
  expect(refused()).toBeLessThan(calls);
  const counted = (await scrape(own.httpUrl)).value('postern_rpc_refusals_total', {
    method: `${AUTH}/VerifyToken`,
    reason: 'TOKEN_MALFORMED',
  });
  expect(counted).toBe(calls);

  const of = (method: string, code: string) =>
    lines().filter(
      (line) => line.method === `/${AUTH}/${method}` && line.code === code && line.level === 'info',
    );
  const token = await own.tokenOf(email, password);
  expect(of('Login', 'OK')).toHaveLength(1);
  for (const text of ['junk', token, token]) await own.call(`${AUTH}/RevokeToken`, { token: text });
  // The first has nothing to end, and the last has already ended.
  expect(of('RevokeToken', 'OK')).toHaveLength(1);
  const before = refused();
  await own.stop();
  expect(lines().filter(({ event }) => event === 'calls-left-out')).toEqual([
    expect.objectContaining({ refusals: calls - before + 2 }),
  ]);
});
