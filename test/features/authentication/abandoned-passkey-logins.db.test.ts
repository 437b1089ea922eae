import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { KeyedLimiter } from '../../../src/domain/concurrency/keyed-limiter.ts';
import { KeyedRateLimiter } from '../../../src/domain/concurrency/token-bucket.ts';
import type { Rejected } from '../../../src/domain/rejection.ts';
import {
  loginWithPasskey,
  type PasskeyLoginDependencies,
} from '../../../src/features/authentication/login-with-passkey.ts';
import { Passkeys } from '../../../src/features/second-factors/passkeys/passkeys.ts';
import { PASSKEY_ORIGIN } from '../../support/passkeys.ts';
import { SoftwareAuthenticator } from '../../support/software-authenticator.ts';
import { testCall } from '../../support/test-call.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';
import { untilBlocked } from '../../support/until-blocked.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

test('M23 a login that is cancelled while it is refused counts for its source all the same', async () => {
  const relyingParty = { rpId: 'example.com', origins: [PASSKEY_ORIGIN] };
  const passkeys = new Passkeys(relyingParty, () => new Uint8Array(32), Date.now);
  const dependencies = {
    database: database.database,
    passkeys,
    passkeyLimiter: new KeyedLimiter({ concurrency: 1, maxWaiting: 10, maxWaitMs: 60_000 }),
    passkeyFailures: new KeyedRateLimiter({ burst: 1, intervalMs: 60_000, maxKeys: 10 }, () => 0),
    issuer: { audienceFor: () => 'postern' },
  } as unknown as PasskeyLoginDependencies;
  const { challengeToken, optionsJson } = passkeys.beginLogin();
  const credential = new SoftwareAuthenticator({ origin: PASSKEY_ORIGIN }).assert(optionsJson);
  const input = {
    challengeToken,
    credentialJson: JSON.stringify(credential),
    audience: '',
    client: { address: '', userAgent: '' },
  };
  const kindOf = (signal: AbortSignal) =>
    loginWithPasskey(dependencies, input, { ...testCall(), signal }).then(
      () => 'OK',
      (error: unknown) => (error as Rejected).rejection.kind,
    );

  // Nobody waits for it: it costs nothing and does not count.
  expect(await kindOf(AbortSignal.abort())).toBe('cancelled');

  const left = new AbortController();
  const { refused } = await database.database.transaction(testCall(), async (trx) => {
    await trx.raw('LOCK TABLE factors');
    const attempt = kindOf(left.signal);
    await untilBlocked(database, attempt);
    left.abort();
    return { refused: attempt };
  });
  expect(await refused).toBe('passkey-invalid');
  expect(await kindOf(new AbortController().signal)).toBe('login-rate-limited');
});
