import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { account as accounts, verdictOf } from '../../support/account.ts';
import { type AdminFixture, openAdminFixture } from '../../support/admin-fixture.ts';
import { makeIssuerKey, mint, shapes } from '../../support/outside-issuer.ts';
import {
  type Message,
  type Outcome,
  startTestService,
  type TestService,
} from '../../support/test-service.ts';
import { untilBlocked } from '../../support/until-blocked.ts';

const OWN = 'https://postern.example';
const ISSUER = 'https://outside.example';
const root = { email: 'root@example.com', password: 'correct horse battery' };
const key = makeIssuerKey('k', 'ES256');
const outside = mint(key, { ...shapes.kubernetes(ISSUER, OWN), sub: 'w' });
let service: TestService;
let fixture: AdminFixture;
let admin: Record<string, string>;
let accountId: string;
let userId: string;
const keys = { account: '', user: '' };

beforeAll(async () => {
  service = await startTestService({ POSTERN_ISSUER: OWN, POSTERN_AUDIENCE: 'postern,orders' });
  fixture = await openAdminFixture(service.database);
  await service.addUser(root.email, root.password, ['admin']);
  userId = await service.addUser('ann@example.com', root.password, ['a', 'b']);
  admin = { authorization: `Bearer ${await service.tokenOf(root.email, root.password)}` };
  accountId = (await fixture.createService('worker', ['a', 'b'])).id;
  const issuer = await done('CreateTrustedIssuer', {
    issuer: ISSUER,
    keys: { static_jwks: JSON.stringify({ keys: [key.jwk] }) },
  });
  await done('CreateWorkloadBinding', {
    issuer_id: issuer['id'],
    client_id: accountId,
    claims: { sub: 'w' },
  });
  keys.account = await createKey({ client_id: accountId });
  keys.user = await createKey({ user_id: userId });
});
afterAll(() => service.stop());

async function done(method: string, request: Message): Promise<Message> {
  const { response, message } = await service.call(`postern.v1.AdminService/${method}`, request, admin);
  if (!response) throw new Error(`${method}: ${message}`);
  return response;
}
const createKey = async (owner: Message) =>
  String((await done('CreateApiKey', { ...owner, api_key: { name: 'k', roles: ['a', 'b'] } }))['secret']);
const exchange = (subject_token: string, more: Message = {}): Promise<Outcome> =>
  service.call('postern.v1.AuthService/ExchangeToken', { subject_token, ...more });
const rights = (roles: string, allowed: string) =>
  `UPDATE service_accounts SET roles = '${roles}', allowed_audiences = ${allowed} WHERE name = 'worker'`;

const accountLoses: [string, string][] = [
  ['a role', rights('{a}', 'NULL')],
  ['the audience', rights('{a,b}', `'{orders}'`)],
];
test.each([
  ...accountLoses.map(([what, change]) => ['an outside token', what, () => outside, change] as const),
  ...accountLoses.map(([what, change]) => ['an API key of it', what, () => keys.account, change] as const),
])('W15 %s is exchanged while the account loses %s: refused, and nothing is recorded', async (_kind, _what, proof, change) => {
  await service.database.query(rights('{a,b}', 'NULL'));
  expect(verdictOf(await answered(proof()))).toBe('OK');
  await expectRefused(proof(), change, `account_id = '${accountId}'`);
}); // prettier-ignore

test("W15 a user's API key is exchanged while the user loses a role: refused, and nothing is recorded", async () => {
  expect(verdictOf(await answered(keys.user))).toBe('OK');
  await expectRefused(
    keys.user,
    `UPDATE users SET roles = '{a}' WHERE id = '${userId}'`,
    'account_id IS NULL',
  );
});

test('W15 what the account gains meanwhile refuses nothing', async () => {
  await service.database.query(rights('{a,b}', `'{postern}'`));
  const [gained] = await during(rights('{a,b,c}', 'NULL'), () => exchange(outside));
  expect(verdictOf(gained)).toBe('OK');
  expect(await accounts.verdict(service, String(gained.response?.['access_token']))).toBe('OK');
});

/** Repeats while the instance has not read the keys of a changed owner again, and the exchange is refused for it. */
async function answered(proof: string): Promise<Outcome> {
  let outcome = await exchange(proof);
  for (let tries = 0; tries < 50 && !outcome.response; tries++) outcome = await exchange(proof);
  return outcome;
}

const statements: object[] = [];

/** Starts a call that must wait for `change`, which commits afterwards. */
async function during(change: string, start: () => Promise<Outcome>): Promise<[Outcome]> {
  let late: Promise<Outcome> | undefined;
  await service.database.database.unlimited(async (trx) => {
    await trx.raw(change);
    late = start();
    await untilBlocked(service.database, late);
    statements.push(...(await service.database.query('SELECT query FROM pg_stat_activity')));
  });
  return [(await late) as unknown as Outcome];
}

async function expectRefused(proof: string, change: string, whose: string): Promise<void> {
  const recorded = () => service.database.query(`SELECT id FROM service_tokens WHERE ${whose} ORDER BY id`);
  const before = await recorded();
  const [late] = await during(change, () => exchange(proof));
  expect(verdictOf(late)).toBe('CONFLICT');
  // W10: the statement that waits is seen by whoever may read the activity of the database.
  const seen = JSON.stringify(statements);
  expect(seen).toContain('service_tokens');
  for (const part of proof.split('.')) expect(seen).not.toContain(part.slice(0, 60));
  const beforeIds = before.map(({ id }) => id);
  for (const { id } of await recorded()) expect(beforeIds).toContain(id);
}
