import { randomUUID } from 'node:crypto';

import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { operator } from '../../../src/cli/command.ts';
import { tokenRoomOf } from '../../../src/domain/claims/token-room.ts';
import type { ImportRow, ImportVerdict } from '../../../src/features/users/import/import-row.ts';
import { importUsers } from '../../../src/features/users/import/import-users.ts';
import { account } from '../../support/account.ts';
import { openAdminFixture } from '../../support/admin-fixture.ts';
import { callerPassword } from '../../support/callers.ts';
import { checkedBy } from '../../services/ext-authz/check.ts';
import { testCall } from '../../support/test-call.ts';
import {
  type Message,
  type Outcome,
  startTestService,
  type TestService,
} from '../../support/test-service.ts';
import { untilBlocked } from '../../support/until-blocked.ts';

const tokenRoom = tokenRoomOf({
  algorithm: 'ES256',
  issuer: 'http://127.0.0.1:8080',
  audiences: ['postern'],
});
let service: TestService;
let adminToken: string;
beforeAll(async () => {
  service = await startTestService();
  await service.addUser('admin@example.com', callerPassword, ['admin']);
  adminToken = await service.tokenOf('admin@example.com', callerPassword);
});
afterAll(() => service.stop());

const admin = (method: string, request: Message): Promise<Outcome> =>
  service.call(`postern.v1.AdminService/${method}`, request, { authorization: `Bearer ${adminToken}` });
const create = (email: string, rest: Message) =>
  admin('CreateUser', { email, password: callerPassword, ...rest });
const verdict = ({ code, reason, message }: Outcome) => [grpc.status[code], reason, message.split(';')[0]];
const verified = async (token: string) =>
  (await service.call('postern.v1.AuthService/VerifyToken', { access_token: token })).response;

test('a user keeps the id and the external id of the old program, in every token and on every interface', async () => {
  const ids = { id: randomUUID(), external_id: 'auth0|5f7c8ec7c33c6c004bbafe82' };
  const created = await create('kept@example.com', { ...ids, roles: ['reader'] });
  expect(created.response).toMatchObject(ids);

  const first = await account.login(service, 'kept@example.com', callerPassword);
  const second = await account.refresh(service, first.refresh_token);
  const changed = await service.call(
    'postern.v1.AuthService/ChangePassword',
    { current_password: callerPassword, new_password: 'another correct horse' },
    { authorization: `Bearer ${second.access_token}` },
  );
  const third = changed.response as unknown as typeof first;
  expect(first.user_id).toBe(ids.id);
  for (const token of [first.access_token, second.access_token, third.access_token]) {
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as object;
    expect(claims).toMatchObject({ sub: ids.id, external_id: ids.external_id, roles: ['reader'] });
  }
  expect(await verified(third.access_token)).toMatchObject({ subject: ids.id, external_id: ids.external_id });

  const checked = await checkedBy(service, { headers: { authorization: `Bearer ${third.access_token}` } });
  expect(checked.set).toMatchObject({
    'x-postern-subject': ids.id,
    'x-postern-external-id': 'auth0|5f7c8ec7c33c6c004bbafe82',
  });
  expect(checked.metadata).toMatchObject({ subject: ids.id, external_id: ids.external_id });

  for (const request of [
    { user_id: ids.id },
    { email: 'Kept@example.com' },
    { external_id: ids.external_id },
  ])
    expect((await admin('GetUser', request)).response).toMatchObject({ email: 'kept@example.com', ...ids });
  const { response } = await admin('ListUsers', { email: 'kept@example.com' });
  expect(response?.['users']).toEqual([expect.objectContaining(ids)]);
  expect((await admin('CreatePasswordReset', { external_id: ids.external_id })).response).toMatchObject({
    user_id: ids.id,
  });
  const [audited] = await service.database.query(
    `SELECT details FROM audit_events WHERE action = 'user.create' AND target_id = $1`,
    [ids.id],
  );
  expect(audited?.['details']).toMatchObject({ given_id: true, external_id: true });
});

test('E02 whoever has no external id brings none, whatever the request says', async () => {
  const token = await service.tokenOf('admin@example.com', callerPassword);
  expect(await verified(token)).toMatchObject({ external_id: '' });
  const headers = { authorization: `Bearer ${token}`, 'x-postern-external-id': 'auth0|somebody-else' };
  const { set, removed, metadata } = await checkedBy(service, { headers });
  expect(set).not.toHaveProperty('x-postern-external-id');
  expect(removed).toContain('x-postern-external-id');
  expect(metadata).not.toHaveProperty('external_id');
});

test('E05 an external id of any characters fits into a header and comes out of it', async () => {
  const externalId = 'ß'.repeat(120) + '", \\%';
  await create('header@example.com', { external_id: externalId });
  const token = await service.tokenOf('header@example.com', callerPassword);
  const { set } = await checkedBy(service, { headers: { authorization: `Bearer ${token}` } });
  expect(decodeURIComponent(set['x-postern-external-id'] ?? '')).toBe(externalId);
  expect(await verified(token)).toMatchObject({ external_id: externalId });
});

describe('A04 an id', () => {
  test('that a user has is not given to another', async () => {
    const ids = { id: randomUUID(), external_id: 'twin' };
    await create('first@example.com', ids);
    const taken = async (rest: Message) => verdict(await create('second@example.com', rest)).slice(0, 2);
    expect(await taken({ id: ids.id })).toEqual(['ALREADY_EXISTS', 'ID_TAKEN']);
    expect(await taken({ external_id: 'twin' })).toEqual(['ALREADY_EXISTS', 'EXTERNAL_ID_TAKEN']);
    expect(await taken({ external_id: 'Twin' })).toEqual(['OK', undefined]);
  });

  test('that a user or a service account had is given to nobody, for good', async () => {
    const id = randomUUID();
    await create('gone@example.com', { id, external_id: 'gone' });
    expect((await admin('DeleteUser', { user_id: id })).code).toBe(grpc.status.OK);
    const fixture = await openAdminFixture(service.database);
    const [live, deleted] = [await fixture.createService('live'), await fixture.createService('deleted')];
    await fixture.deleteService(deleted.id);
    // Whatever the trail and the revocations forget.
    await service.database.query('TRUNCATE revocations');
    await service.database.query('ALTER TABLE audit_events RENAME TO kept');
    await service.database.query('CREATE TABLE audit_events (LIKE kept INCLUDING ALL)');
    const again = async (given: string) => verdict(await create('again@example.com', { id: given }))[1];
    for (const used of [id, live.id, deleted.id])
      expect([used, await again(used)]).toEqual([used, 'ID_TAKEN']);
    await service.database.query('DROP TABLE audit_events');
    await service.database.query('ALTER TABLE kept RENAME TO audit_events');
    // The external id is free: the same person may come back as a new user.
    expect((await create('again@example.com', { external_id: 'gone' })).code).toBe(grpc.status.OK);
  });

  test('of a user who is being deleted at this moment is not given to another', async () => {
    const id = randomUUID();
    await create('leaving@example.com', { id });
    const { database } = service.database;
    const creating = await database.transaction(testCall(), async (trx) => {
      await trx('users').where({ id }).delete();
      const begun = create('coming@example.com', { id });
      await untilBlocked(service.database, begun);
      return { begun };
    });
    expect(verdict(await creating.begun).slice(0, 2)).toEqual(['ALREADY_EXISTS', 'ID_TAKEN']);
  });

  test('is set at the creation and at no other time', async () => {
    const made = (await create('fixed@example.com', { external_id: 'fixed' })).response;
    const fields = { id: randomUUID(), external_id: 'other', disabled: false };
    const updated = await admin('UpdateUser', { user_id: made?.['id'], ...fields });
    expect(updated.response).toMatchObject({ id: made?.['id'], external_id: 'fixed' });
  });

  test.each([
    ['a number', { id: '42' }, 'id'],
    ['capitals', { id: 'F6F2E2D0-6C7B-4B0E-9D5A-0A3B7C1D2E3F' }, 'id'],
    ['the nil UUID', { id: '00000000-0000-0000-0000-000000000000' }, 'id'],
    ['an e-mail', { external_id: 'ann@example.com' }, 'external_id'],
    ['a line break', { external_id: 'a\nb' }, 'external_id'],
    ['256 bytes', { external_id: 'x'.repeat(256) }, 'external_id'],
  ])('%s is refused', async (_name, ids, field) => {
    const outcome = await create('refused@example.com', ids);
    expect(verdict(outcome)).toEqual([
      'INVALID_ARGUMENT',
      'FIELD_INVALID',
      expect.stringMatching(`^${field}: must`),
    ]);
  });

  test('is no answer to two questions', async () => {
    for (const request of [
      {},
      { email: 'a@example.com', external_id: 'a' },
      { user_id: randomUUID(), external_id: 'a' },
    ])
      expect(verdict(await admin('GetUser', request))[1]).toBe('FIELD_INVALID');
    expect(verdict(await admin('GetUser', { external_id: 'nobody' }))[1]).toBe('RESOURCE_NOT_FOUND');
    expect(verdict(await admin('GetUser', { external_id: 'a@example.com' }))[1]).toBe('FIELD_INVALID');
  });
});

test('a list goes from the oldest to the newest user, also over a user who was deleted between pages', async () => {
  const emails = ['one', 'two', 'three', 'four', 'five'].map((name) => `${name}@order.example`);
  const ids = ['f', '1', 'e', '2', 'd'].map((digit) => digit + randomUUID().slice(1));
  for (const [index, email] of emails.entries()) await create(email, { id: ids[index] });
  const listed: unknown[] = [];
  for (let pageToken = '', first = true; first || pageToken !== ''; first = false) {
    const { response } = await admin('ListUsers', {
      email_prefix: '',
      page_size: 2,
      page_token: pageToken,
      role: '',
    });
    const page = response?.['users'] as { id: string; email: string }[];
    listed.push(...page.map(({ email }) => email).filter((email) => email.endsWith('@order.example')));
    pageToken = String(response?.['next_page_token']);
    const last = page.at(-1);
    if (last?.email.endsWith('@order.example')) await admin('DeleteUser', { user_id: last.id });
  }
  expect(listed).toEqual(emails);
});

describe('an import', () => {
  const row = (email: string, ids: Pick<ImportRow, 'id' | 'externalId'> = {}): ImportRow => ({
    email,
    passwordHash: null,
    roles: [],
    disabled: false,
    ...ids,
  });
  async function* stream(rows: readonly ImportRow[]) {
    for (const each of rows) yield await Promise.resolve(each);
  }
  async function outcomes(rows: readonly ImportRow[], dryRun = false): Promise<string[]> {
    const verdicts: ImportVerdict[] = [];
    await importUsers(
      { database: service.database.database, tokenRoom },
      {
        rows: stream(rows),
        dryRun,
        allowAdmin: false,
        actor: operator,
        onVerdict: (_row, result) => void verdicts.push(result),
      },
      testCall(),
    );
    return verdicts.map((result) => (result.outcome === 'refused' ? result.reason : result.outcome));
  }
  const ANOTHER_ID = 'id: the user with this e-mail has another id';
  const ANOTHER_EXTERNAL_ID = 'external_id: the user with this e-mail has another external_id, or none';
  const ID_TAKEN = expect.stringMatching(
    /^id: belongs to another user or a service account/,
  ) as unknown as string;
  const EXTERNAL_ID_TAKEN = 'external_id: belongs to another user';

  /** The same rows near each other, and in batches far apart. */
  test.each([0, 600])(
    'says of each row what becomes of its ids, in a dry run as in earnest (%d rows between)',
    async (between) => {
      const company = `apart${between}.example`;
      const [a, b, c, d, e] = Array.from({ length: 5 }, () => randomUUID()) as [
        string,
        string,
        string,
        string,
        string,
      ];
      const gone = await service.addUser(`gone@${company}`, callerPassword);
      await admin('DeleteUser', { user_id: gone });
      await create(`before@${company}`, { id: a, external_id: `a ${company}` });
      await create(`plain@${company}`, {});
      const filler = (from: number) =>
        Array.from({ length: between }, (_, index) => row(`p${from + index}@${company}`));
      const cases: [ImportRow, string][] = [
        [row(`ann@${company}`, { id: b, externalId: `b ${company}` }), 'created'],
        [row(`ann@${company}`, { id: b, externalId: `b ${company}` }), 'skipped'],
        [row(`ann@${company}`), 'skipped'],
        [row(`ann@${company}`, { id: c }), ANOTHER_ID],
        [row(`ann@${company}`, { externalId: 'c' }), ANOTHER_EXTERNAL_ID],
        [row(`bob@${company}`, { id: b }), ID_TAKEN],
        [row(`bob@${company}`, { externalId: `b ${company}` }), EXTERNAL_ID_TAKEN],
        [row(`bob@${company}`, { id: gone }), ID_TAKEN],
        [row(`bob@${company}`, { id: c }), 'created'],
        [row(`cid@${company}`), 'created'],
        [row(`cid@${company}`, { id: d }), ANOTHER_ID],
        [row(`dan@${company}`, { id: d }), 'created'],
        [row(`before@${company}`, { id: a, externalId: `a ${company}` }), 'skipped'],
        [row(`before@${company}`, { id: e }), ANOTHER_ID],
        [row(`plain@${company}`, { externalId: 'new' }), ANOTHER_EXTERNAL_ID],
        [row(`eve@${company}`, { id: a }), ID_TAKEN],
        [row(`eve@${company}`, { id: e, externalId: `a ${company}` }), EXTERNAL_ID_TAKEN],
        [row(`eve@${company}`, { id: e, externalId: `e ${company}` }), 'created'],
      ];
      const rows = cases.flatMap(([each], index) => [each, ...filler(index * between)]);
      const ofCases = (found: string[]) => found.filter((_, index) => index % (between + 1) === 0);
      const expected = cases.map(([, outcome]) => outcome);
      expect(ofCases(await outcomes(rows, true))).toEqual(expected);
      expect(ofCases(await outcomes(rows))).toEqual(expected);
      expect(ofCases(await outcomes(rows)).filter((outcome) => outcome === 'created')).toEqual([]);
      const stored = await service.database.query(
        `SELECT split_part(email, '@', 1) AS name, id, external_id FROM users WHERE email LIKE $1 AND email !~ '^p[0-9]' ORDER BY email`,
        [`%@${company}`],
      );
      expect(stored.filter(({ name }) => !['cid', 'plain'].includes(String(name)))).toEqual([
        { name: 'ann', id: b, external_id: `b ${company}` },
        { name: 'before', id: a, external_id: `a ${company}` },
        { name: 'bob', id: c, external_id: null },
        { name: 'dan', id: d, external_id: null },
        { name: 'eve', id: e, external_id: `e ${company}` },
      ]);
    },
  );

  test('of ids that are none refuses their rows', async () => {
    expect(
      await outcomes([
        row('x@none.example', { id: '42' }),
        row('x@none.example', { externalId: 'ann@example.com' }),
        row('x@none.example', { externalId: '' }),
        row('x@none.example', { id: 'x', externalId: 'a\tb' }),
      ]),
    ).toEqual([
      'id: must be a UUID in lower case with hyphens',
      'external_id: must not be an e-mail; give an id that stays with the user',
      'external_id: must not be empty',
      'id: must be a UUID in lower case with hyphens; external_id: must not contain control characters',
    ]);
  });

  test('beside another one of other people with the same ids makes each id once', async () => {
    const ids = Array.from({ length: 900 }, () => randomUUID());
    const crowd = (company: string) => ids.map((id, index) => row(`p${index}@${company}.example`, { id }));
    const results = await Promise.allSettled([
      outcomes(crowd('left')),
      outcomes(crowd('right').toReversed()),
    ]);
    for (const result of results)
      if (result.status === 'rejected')
        expect(result.reason).toMatchObject({ rejection: { kind: 'conflict' } });
    const again = [await outcomes(crowd('left')), await outcomes(crowd('right'))];
    const stored = await service.database.query('SELECT id FROM users WHERE id = ANY ($1)', [ids]);
    expect(stored).toHaveLength(900);
    for (const outcome of again.flat()) expect(['created', 'skipped', ID_TAKEN]).toContainEqual(outcome);
  });
});
