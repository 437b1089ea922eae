import { createHash, randomBytes } from 'node:crypto';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { makeScannableSecret } from '../../src/crypto/api-secret.ts';
import { serviceToken } from '../support/callers.ts';
import { openAdminFixture } from '../support/admin-fixture.ts';
import { type Message, startTestService, type TestService } from '../support/test-service.ts';
import { auc } from './auc.ts';

const password = 'correct horse battery';
const rounds = 120;
/** Four standard errors above chance at 120 samples: too little to tell whether a key was valid once. */
const inseparable = 0.65;

let service: TestService;
let keys: Readonly<Record<string, string>>;
let asService: string;
beforeAll(async () => {
  service = await startTestService({ POSTERN_TRUSTED_PROXIES: '10.9.0.0/16' });
  await service.addUser('ann@example.com', password, ['admin']);
  const authorization = `Bearer ${await service.tokenOf('ann@example.com', password)}`;
  const administer = async (method: string, request: Message) => {
    const { response, message } = await service.call(`postern.v1.AdminService/${method}`, request, {
      authorization,
    });
    if (!response) throw new Error(message);
    return response;
  };
  const userId = await service.addUser('bob@example.com', password);
  const disabledId = await service.addUser('eve@example.com', password);
  let made = 0;
  const keyOf = async (user_id: string, more: Message = {}) => {
    const { secret, api_key } = await administer('CreateApiKey', {
      user_id,
      api_key: { name: `key ${(made += 1)}`, ...more },
    });
    return { secret: String(secret), id: String((api_key as Message)['id']) };
  };
  const revoked = await keyOf(userId);
  const disabled = await keyOf(disabledId);
  const expired = await keyOf(userId, { lifetime: 1 });
  const elsewhere = await keyOf(userId, { allowed_networks: ['203.0.113.0/24'] });
  await administer('RevokeApiKey', { id: revoked.id });
  await administer('UpdateUser', { user_id: disabledId, disabled: true });
  keys = {
    unknown: makeScannableSecret('pak_', randomBytes(32)),
    revoked: revoked.secret,
    expired: expired.secret,
    'of a disabled owner': disabled.secret,
    'from another network': elsewhere.secret,
  };
  const fixture = await openAdminFixture(service.database);
  asService = `Bearer ${await serviceToken(service, await fixture.createService('verifier'))}`;
  for (const key of Object.values(keys)) {
    const until = Date.now() + 10_000;
    while ((await verify(key)) !== 'API_KEY_INVALID' && Date.now() < until);
  }
});
afterAll(() => service.stop());

const verify = async (key: string) =>
  (await service.call('postern.v1.AuthService/VerifyToken', { access_token: key })).reason;
const exchange = async (key: string) =>
  (await service.call('postern.v1.AuthService/ExchangeToken', { subject_token: key })).reason;
const resolve = async (key: string) => {
  const key_sha256 = createHash('sha256').update(key).digest();
  const metadata = { authorization: asService };
  return String((await service.call('postern.v1.TrustService/ResolveApiKey', { key_sha256 }, metadata)).code);
};

/** The times of each class, ms. One call of each class at once, in an order that moves, so that all see the same load. */
async function timesOf(call: (key: string) => Promise<string | undefined>, classes: readonly string[]) {
  const times = new Map(classes.map((name) => [name, [] as number[]]));
  for (let round = 0; round < rounds; round += 4)
    await Promise.all(
      [0, 1, 2, 3].flatMap((shift) =>
        classes.map(async (_, index) => {
          const name = classes[(index + round + shift) % classes.length] ?? '';
          const startMs = performance.now();
          await call(keys[name] ?? '');
          times.get(name)?.push(performance.now() - startMs);
        }),
      ),
    );
  return times;
}

test.each([
  ['VerifyToken', verify, 'API_KEY_INVALID'],
  ['ExchangeToken', exchange, 'API_KEY_INVALID'],
  ['ResolveApiKey', resolve, '5'],
] as const)('Q03 %s refuses every key in the same time, whatever the cause', async (_name, call, refusal) => {
  // A key with networks is resolved: the verifier that asks compares the address.
  const classes = Object.keys(keys).filter((name) => call !== resolve || name !== 'from another network');
  for (const name of classes) expect(await call(keys[name] ?? '')).toBe(refusal);
  const times = await timesOf(call, classes);
  const [unknown = [], ...others] = classes.map((name) => times.get(name) ?? []);
  expect(unknown).toHaveLength(rounds);
  const areas = others.map((other, index) => [classes[index + 1], auc(unknown, other)] as const);
  expect(areas.filter(([, area]) => area >= inseparable)).toEqual([]);
});
