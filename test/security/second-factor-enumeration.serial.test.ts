import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { argon2idHash } from '../../src/passwords/hashing/argon2id.ts';
import { endEveryPostern, startPostern } from '../support/run-postern.ts';
import { serviceEnvironment } from '../support/service-environment.ts';
import type { TestDatabase } from '../support/test-database.ts';
import {
  Attack,
  type Classes,
  type Connection,
  databaseWith,
  isInseparable,
  overGrpc,
  overHttp,
} from './login-attack.ts';

const password = 'correct horse battery staple';
const hash = argon2idHash(`${password}, not`);
const rightHash = argon2idHash(password);

/** Every way in which a login can be refused without the password, with what the user has and what the attacker sends. */
const classes: Classes = {
  unknown: { hash: null, unknown: true },
  unknownWithCode: { hash: null, unknown: true, code: '123456' },
  plain: { hash },
  plainWithCode: { hash, code: '123456' },
  totp: { hash, factors: ['totp'] },
  totpWithCode: { hash, factors: ['totp'], code: '123456' },
  totpWithRecoveryCode: { hash, factors: ['totp'], code: 'abcde-fghjk' },
  bothWithCode: { hash, factors: ['totp', 'passkey'], code: '123456' },
  disabledWithCode: { hash: rightHash, disabled: true, factors: ['totp'], code: '123456' },
};

let database: TestDatabase;

beforeAll(async () => {
  database = await databaseWith(classes);
});
afterAll(async () => {
  await endEveryPostern();
  await database.drop();
});

async function attackerOver(
  open: (listening: { grpc: string; http: string }) => Connection,
): Promise<Attack> {
  const postern = startPostern(['serve'], {
    environment: {
      ...serviceEnvironment(database.url),
      POSTERN_HTTP_RPC: 'auth',
      POSTERN_HASH_CONCURRENCY: '1',
      POSTERN_LOG_LEVEL: 'fatal',
    },
  });
  const attacker = new Attack(open(await postern.listening), classes, password);
  await attacker.warmUp();
  return attacker;
}

test.each([
  ['gRPC', overGrpc, 60],
  ['HTTP', overHttp, 40],
] as const)(
  'M12 L02 without the password nobody learns over %s whether a user has a second factor',
  async (_transport, open, rounds) => {
    await isInseparable(await attackerOver(open), rounds);
    const [row] = await database.query('SELECT count(*)::int AS count FROM code_failures');
    expect(row).toEqual({ count: 0 });
  },
  300_000,
);
