import { randomBytes } from 'node:crypto';

import * as grpc from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { ownOrigin } from '../../../src/domain/operation-call.ts';
import { EnvelopeError, masterKeyOf, sealedBy } from '../../../src/crypto/sealed-envelope.ts';
import { endAllSessions } from '../../../src/features/authentication/end-all-sessions.ts';
import { ensureSigningKey } from '../../../src/features/signing-keys/ensure-signing-key.ts';
import { RootKey, rewrapRootKey } from '../../../src/features/root-key/root-key.ts';
import { revokeSigningKey } from '../../../src/features/signing-keys/revoke-signing-key.ts';
import { rewrapSigningKeys } from '../../../src/features/signing-keys/rewrap-signing-keys.ts';
import { rotateSigningKey } from '../../../src/features/signing-keys/rotate-signing-key.ts';
import { lockSigningKeys } from '../../../src/features/signing-keys/signing-key-queries.ts';
import { account } from '../../support/account.ts';
import { until } from '../../support/wait-for.ts';
import { endEveryPostern, runPostern } from '../../support/run-postern.ts';
import { type ServiceProcess, startServiceProcess, untilReady } from '../../support/service-process.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';
import { addUser, invoke, type Message } from '../../support/test-service.ts';
import { untilBlocked } from '../../support/until-blocked.ts';
import { keyPolicy } from '../../support/key-policy.ts';

const ann = { email: 'ann@example.com', password: 'correct horse battery' };
const by = { actor: { type: 'operator', id: null }, origin: ownOrigin } as const;
const texts = { old: randomBytes(32).toString('base64'), fresh: randomBytes(32).toString('base64') };
const old = masterKeyOf(Buffer.from(texts.old, 'base64'));
const fresh = masterKeyOf(Buffer.from(texts.fresh, 'base64'));
let store: TestDatabase;
beforeEach(async () => {
  store = await createTestDatabase();
});
afterEach(async () => {
  await endEveryPostern();
  await store.drop();
});

/** The ids of the master keys that seal the root key and each signing key that is not revoked. */
async function sealers(): Promise<string[]> {
  const rows = await store.query(
    `SELECT sealed_key AS sealed FROM refresh_root
     UNION ALL SELECT sealed_private_key FROM signing_keys WHERE state <> 'revoked'`,
  );
  return rows.map(({ sealed }) => sealedBy(sealed as Buffer));
}
const keys = () => store.query('SELECT * FROM signing_keys ORDER BY kid');
const kidsIn = async (state: string) =>
  (await store.query('SELECT kid FROM signing_keys WHERE state = $1', [state])).map(({ kid }) => String(kid));

describe('K08 one of two processes still has the old master key when the keys are rewrapped', () => {
  let outdated: ServiceProcess;
  let current: ServiceProcess;
  beforeEach(async () => {
    // Each process would rotate a key that has signed for an hour.
    const environment = { POSTERN_KEY_ROTATION: '1h' };
    outdated = await startServiceProcess(store.url, { ...environment, POSTERN_MASTER_KEY: texts.old });
    await addUser(store, ann.email, ann.password, ['admin']);
    await untilReady(outdated);
    current = await startServiceProcess(store.url, {
      ...environment,
      POSTERN_MASTER_KEY: texts.fresh,
      POSTERN_MASTER_KEY_PREVIOUS: texts.old,
    });
    await untilReady(current);
    const rewrap = await runPostern(['key', 'rewrap'], {
      environment: {
        DATABASE_URL: store.url,
        POSTERN_MASTER_KEY: texts.fresh,
        POSTERN_MASTER_KEY_PREVIOUS: texts.old,
      },
    });
    expect(rewrap).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/^sealed 2 keys .* 0 /),
    });
  });

  const warningsOf = (service: ServiceProcess) =>
    service.running.output.stderr.split('\n').filter((line) => line.includes('"signing-key-not-made"'));

  test('it makes no key, logs that once and keeps running; the other makes the key and can restart', async () => {
    const tokens = await account.login(outdated, ann.email, ann.password);
    await current.stop();
    await store.query(`UPDATE signing_keys SET activated_at = now() - interval '2 hours'`);
    await until(() => warningsOf(outdated).length > 0, 'a warning of the instance with the old key');
    expect(await kidsIn('pending')).toEqual([]);
    expect(await outdated.probe('/readyz')).toBe(200);
    expect(await account.verdict(outdated, tokens.access_token)).toBe('OK');
    await account.refresh(outdated, tokens.refresh_token);

    const started = await startServiceProcess(store.url, {
      POSTERN_KEY_ROTATION: '1h',
      POSTERN_MASTER_KEY: texts.fresh,
    });
    await untilReady(started);
    await until(async () => (await kidsIn('pending')).length === 1, 'the next key is made');
    expect(new Set(await sealers())).toEqual(new Set([fresh.id]));
    // It cannot open the new key: once that one is active, the process is not ready and signs nothing.
    await store.query(`UPDATE signing_keys SET activate_at = now() WHERE state = 'pending'`);
    await until(
      async () => (await outdated.probe('/readyz')) === 503,
      'the instance with the old key is not ready',
    );
    const sessions = () => store.query('SELECT id FROM sessions ORDER BY id');
    const sessionsBefore = await sessions();
    const login = await outdated.call('postern.v1.AuthService/Login', ann);
    expect([login.code, login.reason]).toEqual([grpc.status.UNAVAILABLE, 'TRUST_STALE']);
    // A client repeats such a login: it must not have opened a session without a token.
    expect(await sessions()).toEqual(sessionsBefore);
    await account.login(started, ann.email, ann.password);
    expect(warningsOf(outdated)).toHaveLength(1);
    expect(warningsOf(outdated)[0]).toContain('another master key');
  });

  test('AdminService refuses to rotate and to revoke in the process with the old key, and does so in the other', async () => {
    const { access_token } = await account.login(current, ann.email, ann.password);
    const before = await keys();
    const [active = ''] = await kidsIn('active');
    const metadata = new grpc.Metadata();
    metadata.set('authorization', `Bearer ${access_token}`);
    const call = async ({ grpcAddress }: ServiceProcess, method: string, request: Message) => {
      const client = new grpc.Client(grpcAddress, grpc.credentials.createInsecure());
      const outcome = await invoke(client, `postern.v1.AdminService/${method}`, request, metadata);
      client.close();
      return outcome;
    };
    for (const [method, request] of [
      ['RotateSigningKey', { now: true }],
      ['RevokeSigningKey', { kid: active }],
    ] as const) {
      const { code, reason } = await call(outdated, method, request);
      expect([method, code, reason]).toEqual([method, grpc.status.UNAVAILABLE, 'TRUST_STALE']);
    }
    expect(await keys()).toEqual(before);
    expect((await call(current, 'RotateSigningKey', { now: true })).code).toBe(grpc.status.OK);
    expect(new Set(await sealers())).toEqual(new Set([fresh.id]));
  });
});

describe('K08 every operation that seals a key uses the master key that seals the root key', () => {
  const ways: readonly (readonly [
    string,
    (masterKeys: readonly [typeof old, ...(typeof old)[]]) => Promise<unknown>,
  ])[] = [
    [
      'rotate',
      (masterKeys) =>
        rotateSigningKey({ database: store.database, policy: keyPolicy, masterKeys }, { now: false, ...by }),
    ],
    [
      'rotate --now',
      (masterKeys) =>
        rotateSigningKey({ database: store.database, policy: keyPolicy, masterKeys }, { now: true, ...by }),
    ],
    [
      'revoke of the active key',
      async (masterKeys) =>
        revokeSigningKey(
          { database: store.database, policy: keyPolicy, masterKeys },
          {
            kid: (await kidsIn('active'))[0] ?? '',
            ...by,
          },
        ),
    ],
    [
      'end-all --after-restore',
      (masterKeys) =>
        endAllSessions(
          { database: store.database },
          { restored: { keys: { policy: keyPolicy, masterKeys } }, ...by },
        ),
    ],
    [
      'a start that finds no active key',
      async (masterKeys) => {
        await store.query(`UPDATE signing_keys SET state = 'revoked', sealed_private_key = NULL`);
        await ensureSigningKey({ database: store.database, algorithm: 'ES256', masterKeys });
      },
    ],
  ];

  test.each(ways)('%s', async (_name, seal) => {
    await ensureSigningKey({ database: store.database, algorithm: 'ES256', masterKeys: [old] });
    // Until `key rewrap` runs, some instances may still have only the old master key.
    await seal([fresh, old]);
    expect(new Set(await sealers())).toEqual(new Set([old.id]));
    await rewrapSigningKeys({ database: store.database, masterKeys: [fresh, old] });
    await seal([fresh, old]);
    expect(new Set(await sealers())).toEqual(new Set([fresh.id]));
    await seal([old]).catch((error: unknown) => expect(error).toBeInstanceOf(EnvelopeError));
    expect(new Set(await sealers())).toEqual(new Set([fresh.id]));
  });

  test('a rotation waits for a rewrap that holds the lock', async () => {
    await ensureSigningKey({ database: store.database, algorithm: 'ES256', masterKeys: [old] });
    let rotation: Promise<unknown> = Promise.resolve();
    await store.database.unlimited(async (trx) => {
      await lockSigningKeys(trx);
      rotation = rotateSigningKey(
        { database: store.database, policy: keyPolicy, masterKeys: [old] },
        { now: false, ...by },
      );
      await untilBlocked(
        store,
        rotation.catch(() => undefined),
      );
      await rewrapRootKey(trx, [fresh, old]);
    });
    await expect(rotation).rejects.toThrow('another master key');
    expect(await kidsIn('pending')).toEqual([]);
  });

  test('K07 after a first key was made by hand, no root key is made with another master key', async () => {
    await rotateSigningKey(
      { database: store.database, policy: keyPolicy, masterKeys: [old] },
      { now: false, ...by },
    );
    await store.query('DELETE FROM refresh_root');
    await expect(new RootKey().prepare(store.database, [fresh])).rejects.toThrow(EnvelopeError);
    expect(await store.query('SELECT FROM refresh_root')).toEqual([]);
    await new RootKey().prepare(store.database, [old]);
    expect(new Set(await sealers())).toEqual(new Set([old.id]));
  });

  test('K07 a key made by hand before the first start is sealed together with a root key', async () => {
    await rotateSigningKey(
      { database: store.database, policy: keyPolicy, masterKeys: [old] },
      { now: false, ...by },
    );
    expect(new Set(await sealers())).toEqual(new Set([old.id]));
    await expect(new RootKey().prepare(store.database, [fresh])).rejects.toThrow(EnvelopeError);
  });
});

test('K07 commands with the previous master key change nothing', async () => {
  await ensureSigningKey({ database: store.database, algorithm: 'ES256', masterKeys: [old] });
  await rewrapSigningKeys({ database: store.database, masterKeys: [fresh, old] });
  const [active = ''] = await kidsIn('active');
  const before = [await keys(), await sealers()];
  const environment = { DATABASE_URL: store.url, POSTERN_MASTER_KEY: texts.old };
  for (const words of [
    ['key', 'rotate'],
    ['key', 'revoke', active],
    ['key', 'rewrap'],
    ['session', 'end-all', '--after-restore'],
    ['service', 'create', 'billing'],
    ['serve'],
    ['doctor'],
  ]) {
    const end = await runPostern(words, { environment });
    expect([words, end.exitCode]).toEqual([words, 3]);
    expect(end.stdout + end.stderr).toContain('another master key');
  }
  expect([await keys(), await sealers()]).toEqual(before);
});

test('K08 doctor warns that the keys are not rewrapped yet, until they are', async () => {
  await ensureSigningKey({ database: store.database, algorithm: 'ES256', masterKeys: [old] });
  const environment = {
    DATABASE_URL: store.url,
    POSTERN_MASTER_KEY: texts.fresh,
    POSTERN_MASTER_KEY_PREVIOUS: texts.old,
  };
  const before = await runPostern(['doctor'], { environment });
  expect(before.exitCode).toBe(0);
  expect(before.stdout).toContain('warn  keys          the keys are sealed with POSTERN_MASTER_KEY_PREVIOUS');
  await rewrapSigningKeys({ database: store.database, masterKeys: [fresh, old] });
  const after = await runPostern(['doctor'], { environment });
  expect(after.stdout).toContain('ok    keys          the master key opens every signing key (1)');
  expect(after.stdout).not.toContain('POSTERN_MASTER_KEY_PREVIOUS');
});
