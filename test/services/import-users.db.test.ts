import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { callAny, sendStream } from '../support/any-call.ts';
import { callerPassword, bearing } from '../support/callers.ts';
import {
  type Message,
  methodOf,
  type Outcome,
  startTestService,
  type TestService,
} from '../support/test-service.ts';

const method = 'postern.v1.AdminService/ImportUsers';
/** bcrypt of `correct horse bättery`. */
const hash = '$2b$05$.BGo3OzyOX3OEXltFBS5Tuee.MOgRnWDAe8MUqsoIxRnXnsOtukrC';
const crowd = (from: number, count: number, company: string) =>
  Array.from({ length: count }, (_, index) => ({ email: `p${from + index}@${company}.example` }));

let service: TestService;
let client: grpc.Client;
let admin: grpc.Metadata;
beforeAll(async () => {
  service = await startTestService();
  client = new grpc.Client(service.grpcAddress, grpc.credentials.createInsecure());
  await service.addUser('admin@example.com', callerPassword, ['admin']);
  admin = bearing(await service.tokenOf('admin@example.com', callerPassword));
});
afterAll(async () => {
  client.close();
  await service.stop();
});

const send = (requests: Iterable<Message | Buffer, undefined>) => sendStream(client, method, requests, admin);
const usersOf = async (company: string) =>
  Number(
    (
      await service.database.query('SELECT count(*)::int AS n FROM users WHERE email LIKE $1', [
        `%@${company}.example`,
      ])
    )[0]?.['n'],
  );
const outcomesOf = ({ response }: Outcome) =>
  (response?.['verdicts'] as { outcome: string; reason: string }[]).map(({ outcome }) => outcome);

test('each row has its verdict in the order sent, and a refused row does not stop the others', async () => {
  const messages = [
    { options: {}, users: [{ email: 'Ann@Mixed.example', password_hash: hash, roles: ['reader'] }] },
    {
      users: [
        { email: 'no e-mail' },
        { email: 'ann@mixed.example' },
        { email: 'boss@mixed.example', roles: ['admin'] },
        { email: 'bad@mixed.example', password_hash: 'md5:canary-of-a-hash' },
        { email: 'off@mixed.example', disabled: true },
      ],
    },
  ];
  const answer = await send(messages);
  expect(answer).toMatchObject({ code: grpc.status.OK, response: { created: 2, skipped: 1, refused: 3 } });
  expect(outcomesOf(answer)).toEqual(['CREATED', 'REFUSED', 'SKIPPED', 'REFUSED', 'REFUSED', 'CREATED']);
  expect(JSON.stringify(answer.response)).not.toContain('canary');
  expect(
    (
      await service.call('postern.v1.AuthService/Login', {
        email: 'ann@mixed.example',
        password: 'correct horse bättery',
      })
    ).code,
  ).toBe(grpc.status.OK);
  expect(
    (
      await service.call('postern.v1.AuthService/Login', {
        email: 'off@mixed.example',
        password: 'correct horse bättery',
      })
    ).reason,
  ).toBe('INVALID_CREDENTIALS');
  expect(outcomesOf(await send(messages))).toEqual([
    'SKIPPED',
    'REFUSED',
    'SKIPPED',
    'REFUSED',
    'REFUSED',
    'SKIPPED',
  ]);
});

test('a row that repeats the e-mail of an earlier one names it, also in another message and in a dry run', async () => {
  const messages = [
    {
      options: { dry_run: true },
      users: [{ email: 'Twin@double.example' }, { email: 'only@double.example' }],
    },
    { users: [{ email: 'no e-mail' }, { email: 'twin@Double.example' }, { email: 'twin@double.example' }] },
  ];
  const [first, ...others] = messages;
  const real = [{ users: first?.users ?? [] }, ...others];
  const repeats = ({ response }: Outcome) =>
    (response?.['verdicts'] as { duplicate_of?: number }[]).map(({ duplicate_of }) => duplicate_of ?? null);
  expect(repeats(await send(messages))).toEqual([null, null, null, 0, 0]);
  const imported = await send(real);
  expect(repeats(imported)).toEqual([null, null, null, 0, 0]);
  expect(outcomesOf(imported)).toEqual(['CREATED', 'CREATED', 'REFUSED', 'SKIPPED', 'SKIPPED']);
  // Imported again, every user exists, and the file still has its doubles.
  expect(repeats(await send(real))).toEqual([null, null, null, 0, 0]);
});

test('A04 administrators are imported only where the options allow it', async () => {
  const users = [{ email: 'boss@allowed.example', roles: ['admin'] }];
  expect(outcomesOf(await send([{ users }]))).toEqual(['REFUSED']);
  expect(outcomesOf(await send([{ options: { allow_admin: true } }, { users }]))).toEqual(['CREATED']);
});

test('A07 a dry run gives the same verdicts, creates no users, and is audited', async () => {
  const users = [...crowd(0, 3, 'dry'), ...crowd(0, 1, 'dry'), { email: 'x' }];
  const dry = await send([{ options: { dry_run: true }, users }]);
  expect([outcomesOf(dry), await usersOf('dry')]).toEqual([
    ['CREATED', 'CREATED', 'CREATED', 'SKIPPED', 'REFUSED'],
    0,
  ]);
  const real = await send([{ users }]);
  expect([real.response, await usersOf('dry')]).toEqual([dry.response, 3]);
  const events = await service.database.query(
    `SELECT action, details FROM audit_events WHERE action LIKE 'user.import%' ORDER BY id DESC LIMIT 3`,
  );
  const counts = { created: 3, skipped: 1, refused: 1 };
  expect(events).toEqual([
    { action: 'user.import', details: { dry_run: false, ...counts } },
    { action: 'user.import.batch', details: { created: 3, administrators: 0, existing: 0, refused: 1 } },
    { action: 'user.import', details: { dry_run: true, ...counts } },
  ]);
});

test('a stream without rows imports no users', async () => {
  for (const messages of [[], [{ options: {} }], [{ options: { dry_run: true } }]])
    expect((await send(messages)).response).toEqual({ verdicts: [], created: 0, skipped: 0, refused: 0 });
});

test('a stream of the wrong form is refused', async () => {
  const [one, two] = [{ users: crowd(0, 1, 'form') }, { users: crowd(1, 1, 'form') }];
  for (const messages of [
    [one, { options: { dry_run: true } }],
    [one, {}],
    [{}],
    [{}, one],
    [{ options: {} }, {}],
    [one, { ...two, options: { allow_admin: true } }],
  ])
    expect(await send(messages)).toMatchObject({
      code: grpc.status.INVALID_ARGUMENT,
      reason: 'FIELD_INVALID',
    });
});

test('malformed bytes end the call, not the service, and an unfinished batch is not stored', async () => {
  const good = methodOf(method).requestSerialize({ users: crowd(0, 5, 'hostile') });
  const junk = [
    Buffer.from('ffffffffffffff', 'hex'),
    Buffer.from('0aff', 'hex'),
    Buffer.concat([Buffer.from('12070a05', 'hex'), Buffer.from([0x61, 0xff, 0xfe, 0x40, 0x62])]),
    Buffer.from('12'.repeat(500), 'hex'),
  ];
  for (const bytes of junk) {
    const { code, reason } = await send([good, bytes]);
    expect({ bytes: bytes.toString('hex', 0, 8), code, reason }).toEqual({
      bytes: bytes.toString('hex', 0, 8),
      code: grpc.status.INVALID_ARGUMENT,
      reason: 'FIELD_INVALID',
    });
  }
  expect(await send([good, Buffer.alloc(70_000, 'a')])).toMatchObject({
    code: grpc.status.RESOURCE_EXHAUSTED,
    reason: 'MESSAGE_TOO_LARGE',
  });
  expect(await usersOf('hostile')).toBe(0);
  const texts = [
    'a\0@hostile.example',
    `${'a'.repeat(5_000)}@hostile.example`,
    '\u212a@hostile.example',
    "'; DROP TABLE users; --",
  ];
  expect(outcomesOf(await send([{ users: texts.map((email) => ({ email })) }]))).toEqual(
    texts.map(() => 'REFUSED'),
  );
  const hashes = [
    `$argon2id$v=19$m=4194304,t=9,p=4$${'A'.repeat(22)}$${'A'.repeat(43)}`,
    '$2b$31$'.padEnd(60, 'a'),
    'x'.repeat(9_000),
  ];
  const costly = hashes.map((password_hash, n) => ({ email: `c${n}@hostile.example`, password_hash }));
  expect(outcomesOf(await send([{ users: costly }]))).toEqual(hashes.map(() => 'REFUSED'));
  expect(await usersOf('hostile')).toBe(0);
});

test('L04 L19 users of other frameworks log in with their passwords after the import, and those marked without one cannot', async () => {
  /** Of `correct horse bättery`; test/passwords/framework-hashes.test.ts says how they were made. */
  const hashes = {
    django: 'bcrypt_sha256$$2b$05$j2rqcWOgNv1O2KM1nQQqGeSb0LgxEbkp9lEwt/FRXkDCR5HXR.95W',
    laravel: '$2y$05$C6Gsrsj08SW2Wi1/zcRFLOU2nOE0Uma31ypuooo3tAEaLjoOZBuPe',
    wordpress: '$wp$2y$05$HPbAZuZnYRz9dHpLexcQvOSf86E9R1I.vZiS9wFvxNkTEaivZ8WuW',
    phpass: '$P$BGM5IfR74m./til5JiXyObFLdFdNZv.',
    linux:
      '$6$saltstring$80JGtPXHzHY2ufCNXvLasA76lA8B4PrnoGAfVCEyZf8DQ9MY6rTASMMqGyAVd1lKEaTAmpoLDX4Me3plB3vsx.',
    ldap: '{SSHA}W0U5GJRGwrhnN+PiEE012OXZNXfNmRPC',
    firebase:
      '$fbscrypt$v=1,n=10,r=8,p=1,ss=Bw==,sk=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==$kW3e7Tn+0eYv1g==$lTYliMQ2053pIfpIIiu4RW1xZOHV2NIdPXfHnnNcavbqj5f2K2+Gj/YyjMJ1EbMbbBSe9M8hRKUqX077gP0mEQ==',
  };
  const users = Object.entries({ ...hashes, unusable: '!CqGuLaC6NrCnIooDBUKrSK5wxCJnwEOZTZHRP34W' }).map(
    ([name, password_hash]) => ({ email: `${name}@frameworks.example`, password_hash }),
  );
  expect(await send([{ users }])).toMatchObject({ response: { created: 8, skipped: 0, refused: 0 } });
  const storedOf = async (name: string) =>
    (
      await service.database.query('SELECT password_hash AS hash FROM users WHERE email = $1', [
        `${name}@frameworks.example`,
      ])
    )[0]?.['hash'];
  const login = (name: string, password: string) =>
    service.call('postern.v1.AuthService/Login', { email: `${name}@frameworks.example`, password });
  expect(await storedOf('unusable')).toBeNull();
  expect(await storedOf('firebase')).not.toContain('jxspr8Ki0RYycVU8');
  expect((await login('unusable', 'correct horse b\u00e4ttery')).reason).toBe('INVALID_CREDENTIALS');
  for (const name of Object.keys(hashes)) {
    expect([name, (await login(name, 'correct horse battery')).reason]).toEqual([
      name,
      'INVALID_CREDENTIALS',
    ]);
    for (let times = 0; times < 2; times++) {
      expect([name, (await login(name, 'correct horse b\u00e4ttery')).code]).toEqual([name, grpc.status.OK]);
    }
    expect(await storedOf(name)).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
  }
});

test('an over-long stream is cut off, and what was sent within the limit is answered row by row', async () => {
  const batch = (index: number) => ({
    options: index === 0 ? { dry_run: true } : null,
    users: crowd(index * 500, 500, 'long'),
  });
  const batches = (count: number) => Array.from({ length: count }, (_, index) => batch(index));
  const full = await send(batches(20));
  expect(full).toMatchObject({ code: grpc.status.OK, response: { created: 10_000, skipped: 0, refused: 0 } });
  function* endless(): Generator<Message, undefined> {
    for (let index = 0; ; index += 1) yield batch(index);
  }
  const cut = await send(endless());
  expect([cut.code, cut.reason, cut.message]).toEqual([
    grpc.status.INVALID_ARGUMENT,
    'FIELD_INVALID',
    expect.stringMatching(/^users: .*10000 rows/),
  ]);
});

test('the longest verdicts fit into the message limit of a client', async () => {
  const roles = Array.from({ length: 16 }, () => 'NOT A ROLE');
  const users = Array.from({ length: 250 }, () => ({ email: '', password_hash: 'x', roles }));
  const { code, response } = await send(Array.from({ length: 40 }, () => ({ users })));
  expect([code, response?.['refused']]).toEqual([grpc.status.OK, 10_000]);
});

test('A02 a caller without the admin role is refused before anything is read', async () => {
  const before = await usersOf('stranger');
  const { reason } = await callAny(client, method, [{ users: crowd(0, 2, 'stranger') }]);
  expect([reason, await usersOf('stranger')]).toEqual(['CREDENTIALS_MISSING', before]);
});
