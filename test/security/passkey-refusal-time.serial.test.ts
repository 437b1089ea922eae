import { afterAll, beforeAll, expect, test } from '@jest/globals';

import {
  addPasskey,
  assertionOf,
  beginLogin,
  passkeyEnvironment,
  PASSKEY_ORIGIN,
} from '../support/passkeys.ts';
import { SoftwareAuthenticator } from '../support/software-authenticator.ts';
import { type Message, startTestService, type TestService } from '../support/test-service.ts';
import { auc } from './auc.ts';

const password = 'correct horse battery';
const rounds = 240;
/** Four standard errors above chance at 240 samples: too little to tell whether a passkey exists. */
const inseparable = 0.61;

let service: TestService;
/** The answers of each class of refused logins. */
let answers: Readonly<Record<string, Message>>;
beforeAll(async () => {
  service = await startTestService({ ...passkeyEnvironment, POSTERN_TRUSTED_PROXIES: '127.0.0.0/8' });
  const registered = async (name: string) => {
    const email = `${name}@example.com`;
    const userId = await service.addUser(email, password);
    const made = new SoftwareAuthenticator({ origin: PASSKEY_ORIGIN });
    await addPasskey(service, await service.tokenOf(email, password), made);
    return { made, userId };
  };
  const ann = await registered('ann');
  const eve = await registered('eve');
  const bob = await registered('bob');
  await service.database.query('UPDATE users SET disabled_at = now() WHERE id = $1', [eve.userId]);
  await service.database.query("UPDATE factors SET name = 'x', mac = '\\x00' WHERE user_id = $1", [
    bob.userId,
  ]);
  const stranger = new SoftwareAuthenticator({ origin: PASSKEY_ORIGIN });
  stranger.userHandle = ann.made.userHandle;
  const challenge = await beginLogin(service);
  answers = {
    unknown: assertionOf(stranger, challenge),
    'signed by another key': assertionOf(ann.made, challenge, { signer: stranger.privateKey }),
    'of a disabled user': assertionOf(eve.made, challenge),
    'with the user handle of another': assertionOf(ann.made, challenge, { userHandle: eve.made.userHandle }),
    'in a row that was changed': assertionOf(bob.made, challenge),
  };
});
afterAll(() => service.stop());

let calls = 0;
const login = async (answer: Message | undefined) => {
  calls += 1;
  // From many sources, since one that fails again and again is refused.
  const address = `10.9.${calls % 97}.1`;
  return (await service.call('postern.v1.AuthService/LoginWithPasskey', { ...answer, client: { address } }))
    .reason;
};

test('M18 LoginWithPasskey refuses every passkey in the same time, whatever the cause', async () => {
  const classes = Object.keys(answers);
  for (const name of classes)
    for (let warm = 0; warm < 20; warm += 1) expect(await login(answers[name])).toBe('PASSKEY_INVALID');
  const times = new Map(classes.map((name) => [name, [] as number[]]));
  for (let round = 0; round < rounds; round += 1)
    for (const [index] of classes.entries()) {
      // In an order that moves, so that all see the same load.
      const name = classes[(index + round) % classes.length] ?? '';
      const startMs = performance.now();
      expect(await login(answers[name])).toBe('PASSKEY_INVALID');
      times.get(name)?.push(performance.now() - startMs);
    }
  const [unknown = [], ...others] = classes.map((name) => times.get(name) ?? []);
  expect(unknown).toHaveLength(rounds);
  const areas = others.map((other, index) => [classes[index + 1], auc(unknown, other)] as const);
  expect(areas.filter(([, area]) => area >= inseparable)).toEqual([]);
});
