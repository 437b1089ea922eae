import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { account, verdictOf } from '../../support/account.ts';
import { type AdminFixture, type Credentials, openAdminFixture } from '../../support/admin-fixture.ts';
import { serviceToken } from '../../support/callers.ts';
import {
  makeIssuerKey,
  mint,
  type OutsideServer,
  shapes,
  startOutsideServer,
} from '../../support/outside-issuer.ts';
import {
  type Message,
  type Outcome,
  startTestService,
  type TestService,
} from '../../support/test-service.ts';

const OWN = 'https://postern.example';
const password = 'correct horse battery';
const key = makeIssuerKey('k', 'ES256');
let service: TestService;
let fixture: AdminFixture;
let silent: OutsideServer;
let admin: Record<string, string>;

beforeAll(async () => {
  service = await startTestService({
    POSTERN_ISSUER: OWN,
    POSTERN_AUDIENCE: 'postern,orders,billing',
    POSTERN_ISSUER_NETWORKS: '127.0.0.0/8',
  });
  fixture = await openAdminFixture(service.database);
  silent = await startOutsideServer(() => undefined);
  for (const email of ['root@example.com', 'ann@example.com', 'bob@example.com'])
    await service.addUser(email, password, email.startsWith('root') ? ['admin'] : []);
  admin = { authorization: `Bearer ${await service.tokenOf('root@example.com', password)}` };
});
afterAll(async () => {
  await service.stop();
  await silent.stop();
});

const exchange = (subject_token: string, more: Message = {}): Promise<Outcome> =>
  service.call('postern.v1.AuthService/ExchangeToken', { subject_token, ...more });
/** As many exchanges, 16 at once. */
async function flood(count: number, start: () => Promise<Outcome>): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  while (outcomes.length < count) outcomes.push(...(await Promise.all(Array.from({ length: 16 }, start))));
  return outcomes;
}
const times = (outcomes: Outcome[], verdict: string) =>
  outcomes.filter((outcome) => verdictOf(outcome) === verdict).length;
async function trust(issuer: string, accountId: string, keys: Message): Promise<void> {
  const made = await service.call('postern.v1.AdminService/CreateTrustedIssuer', { issuer, keys }, admin);
  const issuer_id = made.response?.['id'];
  const binding = { issuer_id, client_id: accountId, claims: { sub: 'w' } };
  const bound = await service.call('postern.v1.AdminService/CreateWorkloadBinding', binding, admin);
  expect([verdictOf(made), verdictOf(bound)]).toEqual(['OK', 'OK']);
}
const outside = (issuer: string) => mint(key, { ...shapes.kubernetes(issuer, OWN), sub: 'w' });

test('W17 one session has no more than a burst of exchanges; others go on', async () => {
  const token = await service.tokenOf('ann@example.com', password);
  const startedMs = performance.now();
  const outcomes = await flood(480, () => exchange(token));
  const added = Math.ceil((performance.now() - startedMs) / 100);
  expect(times(outcomes, 'OK')).toBeGreaterThanOrEqual(300);
  expect(times(outcomes, 'OK')).toBeLessThanOrEqual(301 + added);
  expect(times(outcomes, 'OK') + times(outcomes, 'SERVER_OVERLOADED')).toBe(outcomes.length);
  expect(times(outcomes, 'SERVER_OVERLOADED')).toBeGreaterThan(0);
  // A token that was derived from it is the same session's.
  const derived = outcomes.find(({ response }) => response)?.response?.['access_token'];
  expect(times(await flood(32, () => exchange(String(derived))), 'SERVER_OVERLOADED')).toBeGreaterThan(0);
  expect(verdictOf(await exchange(await service.tokenOf('bob@example.com', password)))).toBe('OK');
});

test("W17 whoever received a service's token cannot end its other tokens by exchanging it", async () => {
  const made: Credentials = await fixture.createService('caller');
  const [kept, passed] = [await serviceToken(service, made), await serviceToken(service, made, 'billing')];
  // As many live tokens as an account may have.
  await service.database.query(
    `INSERT INTO service_tokens (id, account_id, expires_at)
     SELECT 'filler-' || n, $1, now() + interval '1 hour' FROM generate_series(1, 9998) n`,
    [made.id],
  );
  const outcomes = await flood(32, () => exchange(passed));
  expect(times(outcomes, 'OK')).toBe(outcomes.length);
  expect(await account.verdict(service, kept)).toBe('OK');
});

test('W16 an issuer that does not answer keeps no token of another issuer from the same source from being exchanged', async () => {
  const { id } = await fixture.createService('workload');
  const good = 'https://good.example';
  await trust(good, id, { static_jwks: JSON.stringify({ keys: [key.jwk] }) });
  await trust(silent.url, id, { ca_pem: silent.caPem });
  const slow = Array.from({ length: 24 }, () => exchange(outside(silent.url)));
  const fast = Array.from({ length: 6 }, () => exchange(outside(good)));
  expect((await Promise.all(fast)).map(verdictOf)).toEqual(Array(6).fill('OK'));
  const refused = await Promise.all(slow);
  expect(refused.map(verdictOf)).toEqual(Array(24).fill('TRUST_STALE'));
  expect(silent.connections()).toBe(1);
});

test('W11 a flood of refused tokens adds a bounded number of audit rows', async () => {
  const rows = async () =>
    (await service.database.query(`SELECT 1 FROM audit_events WHERE action = 'token.exchange' AND outcome = 'refused'`)).length; // prettier-ignore
  const before = await rows();
  const strangers = await flood(600, () => exchange(outside('https://stranger.example')));
  expect(times(strangers, 'ISSUER_NOT_TRUSTED')).toBe(strangers.length);
  expect((await rows()) - before).toBeLessThanOrEqual(305);
});
