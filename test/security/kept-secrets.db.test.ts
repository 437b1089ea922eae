import { createHash } from 'node:crypto';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { openAdminFixture, type AdminFixture } from '../support/admin-fixture.ts';
import { startTestService, type TestService } from '../support/test-service.ts';

const password = 'correct horse battery';
const changedPassword = 'a staple for the horse';
const resetPassword = 'the third of passphrases';
const email = 'canary@example.com';
let service: TestService;
let fixture: AdminFixture;
beforeAll(async () => {
  service = await startTestService();
  fixture = await openAdminFixture(service.database);
  await service.addUser(email, password);
});
afterAll(() => service.stop());

/** Every row of every table as text, bytes in hex. */
async function everyRow(): Promise<string> {
  const tables = await service.database.query(
    `SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`,
  );
  const rows = await Promise.all(
    tables.map(({ relname }) => service.database.query(`SELECT t::text AS line FROM ${String(relname)} t`)),
  );
  return rows
    .flat()
    .map(({ line }) => String(line))
    .join('\n');
}

test('S01 L17 O01 no secret, reset token or password is in the database, the log or an answer to junk', async () => {
  const call = (method: string, request: Record<string, unknown>, metadata?: Record<string, string>) =>
    service.call(`postern.v1.AuthService/${method}`, request, metadata);
  const account = await fixture.createService('canary');
  const next = await fixture.rotate(account.id, 3_600);
  const used = await fixture.resetFor(email);
  const messages: string[] = [];
  const say = async (outcome: ReturnType<typeof call>) => messages.push((await outcome).message);

  for (const client_secret of [account.secret, next])
    await say(call('IssueServiceToken', { client_id: account.id, client_secret }));
  await say(call('IssueServiceToken', { client_id: account.id, client_secret: `${next}x` }));
  await say(call('IssueServiceToken', { client_id: next, client_secret: account.id }));
  await say(call('ResetPassword', { reset_token: used, new_password: resetPassword }));
  await say(call('ResetPassword', { reset_token: used, new_password: resetPassword }));
  const authorization = `Bearer ${await service.tokenOf(email, resetPassword)}`;
  const change = { current_password: resetPassword, new_password: changedPassword };
  await say(call('ChangePassword', { ...change, current_password: password }, { authorization }));
  await say(call('ChangePassword', change, { authorization }));
  const pending = await fixture.resetFor(email);
  const token = String(
    (await call('IssueServiceToken', { client_id: account.id, client_secret: next })).response?.[
      'access_token'
    ],
  );

  const database = await everyRow();
  expect(database).toContain('service.token');
  expect(database).toContain(account.id);
  const everything = [database, ...service.logLines, ...messages].join('\n');
  const secrets = [account.secret, next, used, pending, token, password, changedPassword, resetPassword];
  for (const secret of secrets.flatMap((text) => [text, text.slice(4, 40)])) {
    for (const spelling of [
      secret,
      Buffer.from(secret).toString('hex'),
      Buffer.from(secret).toString('base64').replace(/=+$/, ''),
      createHash('sha256').update(secret).digest('hex'),
    ]) {
      expect(everything.includes(spelling)).toBe(false);
    }
  }
});
