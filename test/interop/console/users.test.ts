import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { oathtoolCode } from '../authenticator-apps.ts';
import { PASSWORD, ConsoleBrowser, type ConsolePage } from './console-browser.ts';

let postern: ConsoleBrowser;
beforeAll(async () => {
  postern = await ConsoleBrowser.start();
}, 60_000);
afterAll(() => postern.stop());

/** Fills the field of the open dialog that asks for a name, and confirms. */
async function confirmByName({ page }: ConsolePage, name: string, verb: string): Promise<void> {
  const dialog = page.getByRole('dialog');
  const button = dialog.getByRole('button', { name: verb, exact: true });
  expect(await button.isDisabled()).toBe(true);
  await dialog.getByRole('textbox').fill(name);
  await button.click();
  await dialog.waitFor({ state: 'detached' });
}
async function inDialog({ page }: ConsolePage, verb: string): Promise<void> {
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: verb, exact: true }).click();
  await dialog.waitFor({ state: 'detached' });
}
const userOf = async (id: string) => postern.call('AdminService/GetUser', { user_id: id });

test('C30 from a search to the user: roles, sessions, disabled, deleted', async () => {
  const { id } = await postern.addUser('ann.lee@example.com', ['reader']);
  await postern.service.tokenOf('ann.lee@example.com', PASSWORD);
  const token = await postern.service.tokenOf('ann.lee@example.com', PASSWORD);
  await postern.service.call('postern.v1.AuthService/Login', {
    email: 'ann.lee@example.com',
    password: 'not her password',
  });
  // Whoever looks at a user leaves events as well: they must not hide why the login failed.
  for (let reading = 0; reading < 20; reading += 1) await userOf(id);
  // The page of a user who was deleted.
  const refusals = /^404 \/postern\.v1\.AdminService\/GetUser$/;
  await postern.onPage({ refusals }, async (at) => {
    const { page } = at;
    await at.open('#/users');
    await page.getByLabel('E-mail begins with').fill('ANN.');
    await page.getByLabel('Role', { exact: true }).fill('reader');
    await page.getByLabel('Role', { exact: true }).press('Enter');
    await page.waitForURL(/#\/users\?email=ANN\.&role=reader$/);
    await at.loaded();
    expect(await page.locator('tbody tr').count()).toBe(1);
    await at.link('ann.lee@example.com').click();
    await page.getByRole('heading', { level: 1, name: 'ann.lee@example.com' }).waitFor();
    expect(await page.title()).toBe('ann.lee@example.com · Postern');
    await at.says('the credentials are wrong: wrong password');

    await at.button('Change the roles').click();
    await page.getByLabel('Roles, separated by commas').fill('reader, editor');
    await at.says('All sessions of the user end, so that no token keeps a role.');
    await inDialog(at, 'Change the roles');
    expect((await userOf(id))['roles']).toEqual(['editor', 'reader']);
    await at.says('No sessions: the user is logged in nowhere.');
    const verified = await postern.service.call('postern.v1.AuthService/VerifyToken', {
      access_token: token,
    });
    expect(verified.reason).toBe('TOKEN_REVOKED');

    await postern.service.tokenOf('ann.lee@example.com', PASSWORD);
    await page.reload();
    await page.locator('table.sessions').waitFor();
    await at.button('End all sessions').click();
    await inDialog(at, 'End all sessions');
    await at.says('No sessions: the user is logged in nowhere.');

    await at.button('Disable the user').click();
    await inDialog(at, 'Disable the user');
    await at.button('Enable the user').waitFor();
    expect((await userOf(id))['disabled']).toBe(true);
    await at.expectAccessible();

    await at.button('Delete the user').click();
    await confirmByName(at, 'ann.lee@example.com', 'Delete the user');
    await page.getByRole('heading', { level: 1, name: 'Users' }).waitFor();
    await expect(userOf(id)).rejects.toThrow('RESOURCE_NOT_FOUND');
    // Back leads to what is no more, and says so.
    await at.open(`#/users/${id}`);
    await at.says('There is no user with the ID');
    // Of what is no id, nothing is asked.
    await at.open('#/users/nobody');
    await at.says('There is no user with the ID nobody');
  });
});

test('a user is created with a reset token, which is shown once and sets a password', async () => {
  await postern.onPage({}, async (at) => {
    const { page } = at;
    await at.open('#/users');
    await at.button('Create a user').click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('E-mail').fill('new.one@example.com');
    await dialog.getByRole('button', { name: 'Create the user' }).click();
    const secret = page.locator('output.secret');
    await secret.waitFor();
    const reset_token = (await secret.innerText()).trim();
    await at.button('I have kept it').click();
    expect(await page.content()).not.toContain(reset_token);
    const request = { reset_token, new_password: 'a password of her own' };
    const { reason } = await postern.service.call('postern.v1.AuthService/ResetPassword', request);
    expect(reason).toBeUndefined();
    await postern.service.tokenOf('new.one@example.com', 'a password of her own');
  });
});

test('the second factors of a user are reset after the e-mail was typed, and the page shows it', async () => {
  const lost = await postern.addUser('lost.phone@example.com');
  const { factor_id, secret } = await postern.call('AuthService/EnrolTotp', { name: 'Phone' }, lost);
  const code = await oathtoolCode(String(secret));
  await postern.call('AuthService/ConfirmFactor', { factor_id, code }, lost);
  await postern.onPage({}, async (at) => {
    await at.open(`#/users/${lost.id}`);
    await at.button('Reset the second factors').click();
    await confirmByName(at, lost.email, 'Reset the second factors');
    await at.says('No second factors: the password alone opens a session.');
    await at.says('Reset second factors');
  });
  await postern.service.tokenOf(lost.email, PASSWORD);
});

test('C32 the only administrator is offered nothing that would leave none', async () => {
  const { id } = postern.admin;
  await postern.onPage({}, async (at) => {
    const { page } = at;
    await at.open(`#/users/${id}`);
    await at.says('You cannot disable or delete yourself');
    expect(await at.button('Disable the user').count()).toBe(0);
    expect(await at.button('Delete the user').count()).toBe(0);
    await at.button('Change the roles').click();
    await page.getByLabel('Roles, separated by commas').fill('reader');
    await at.says('This is the only administrator');
    const submit = page.getByRole('dialog').getByRole('button', { name: 'Change the roles' });
    expect(await submit.isDisabled()).toBe(true);
  });
});

test('C33 of two administrators at once the second is told, and nothing is overwritten', async () => {
  const { id } = await postern.addUser('contested@example.com', ['reader']);
  const second = await postern.addUser('second.admin@example.com', ['admin']);
  await postern.onPage({ refusals: /^40[49] .*AdminService\/(?:UpdateUser|GetUser)$/ }, async (first) => {
    await first.open(`#/users/${id}`);
    await first.button('Change the roles').click();
    await postern.onPage({ as: second }, async (other) => {
      await other.open(`#/users/${id}`);
      await other.button('Change the roles').click();
      await other.page.getByLabel('Roles, separated by commas').fill('reader, billing');
      await inDialog(other, 'Change the roles');
      // Of several administrators none can end their own access by a click.
      await other.open(`#/users/${second.id}`);
      await other.says('You cannot disable or delete yourself');
      expect(await other.button(/^(Disable|Delete) the user$/).count()).toBe(0);
    });
    await first.page.getByLabel('Roles, separated by commas').fill('editor');
    await first.page.getByRole('dialog').getByRole('button', { name: 'Change the roles' }).click();
    await first.says('Somebody else has changed this user meanwhile');
    await first.button('Cancel').click();
    expect((await userOf(id))['roles']).toEqual(['billing', 'reader']);
    await first.page.locator('dl.facts .tag', { hasText: 'billing' }).waitFor();
    // With what is shown now, the change is made.
    await first.button('Change the roles').click();
    await first.page.getByLabel('Roles, separated by commas').fill('editor');
    await inDialog(first, 'Change the roles');
    expect((await userOf(id))['roles']).toEqual(['editor']);
    // Of a user who is gone the page behind says so.
    await first.button('Disable the user').click();
    await postern.call('AdminService/DeleteUser', { user_id: id });
    await first.page.getByRole('dialog').getByRole('button', { name: 'Disable the user' }).click();
    await first.says('The user does not exist');
    await first.button('Cancel').click();
    await first.says('There is no user with the ID');
  });
});

test('C33 what is being done cannot be cancelled, so that its end surprises nobody in another dialog', async () => {
  const { id } = await postern.addUser('slow@example.com');
  await postern.onPage({}, async (at) => {
    const { page } = at;
    let goOn: () => void = () => undefined;
    const isAnswered = new Promise<void>((resolve) => (goOn = resolve));
    await page.route('**/UpdateUser', async (route) => {
      await isAnswered;
      await route.continue();
    });
    await at.open(`#/users/${id}`);
    await at.button('Disable the user').click();
    const dialog = page.getByRole('dialog');
    const asked = page.waitForRequest('**/UpdateUser');
    await dialog.getByRole('button', { name: 'Disable the user' }).click();
    await asked;
    for (let presses = 0; presses < 3; presses += 1) await page.keyboard.press('Escape');
    expect(await at.button('Cancel').isDisabled()).toBe(true);
    expect(await dialog.isVisible()).toBe(true);
    goOn();
    await dialog.waitFor({ state: 'detached' });
    await at.button('Enable the user').waitFor();
  });
});

test('a list that has found nothing yet does not say that there is nothing', async () => {
  await postern.onPage({}, async (at) => {
    await at.page.route('**/ListUsers', (route) => route.fulfill({ json: { nextPageToken: 'more' } }));
    await at.open('#/users?role=rare');
    await at.says('Nothing found yet.');
    expect(await at.page.getByText('No user matches').count()).toBe(0);
    expect(await at.button('Next').isEnabled()).toBe(true);
  });
});

test('C34 script in whatever a user controls is shown as text', async () => {
  const script = '<img src=x onerror="document.title=1">';
  const { id } = await postern.addUser('hostile@example.com');
  await postern.call('AdminService/CreateApiKey', { user_id: id, api_key: { name: `key ${script}` } });
  await fetch(`${postern.service.httpUrl}/postern.v1.AuthService/Login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'user-agent': `agent ${script}` },
    body: JSON.stringify({ email: 'hostile@example.com', password: PASSWORD }),
  });
  // No rule of Postern lets these in: they stand for one that is broken.
  await postern.database.query('UPDATE users SET email = $2, roles = $3, external_id = $4 WHERE id = $1', [
    id,
    `hostile${script}`,
    [`role ${script}`],
    `external ${script}`,
  ]);
  await postern.onPage({}, async (at) => {
    const { page } = at;
    await at.open('#/users?email=hostile');
    for (const text of [`hostile${script}`, `role ${script}`, `external ${script}`])
      await page.locator('table.users').getByText(text).waitFor();
    await page.getByRole('link', { name: 'hostile' }).click();
    for (const text of [`agent ${script}`, `key ${script}`, `role ${script}`])
      await page.getByText(text).first().waitFor();
    await page.getByRole('heading', { level: 1, name: `hostile${script}` }).waitFor();
    await at.button(/^Revoke key/).click();
    await page.getByRole('dialog').getByText(script).first().waitFor();
    expect(await page.locator('img, main script').count()).toBe(0);
  });
});

test('C35 an API key of a user is shown once, rotated and revoked', async () => {
  const { id } = await postern.addUser('key.owner@example.com', ['reader', 'editor']);
  const verify = async (access_token: string) =>
    (await postern.service.call('postern.v1.AuthService/VerifyToken', { access_token })).response?.['roles'];
  await postern.onPage({}, async (at) => {
    const { page } = at;
    const takeSecret = async () => {
      const text = await page.locator('output.secret').innerText();
      await at.button('I have kept it').click();
      return text.trim();
    };
    await at.open(`#/users/${id}`);
    await at.button('Create an API key').click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Name').fill('nightly');
    await dialog.getByLabel('reader').check();
    await dialog.getByRole('button', { name: 'Create the key' }).click();
    const key = await takeSecret();
    expect(await verify(key)).toEqual(['reader']);

    await at.button('Rotate nightly').click();
    await dialog
      .getByLabel('The present key stays valid')
      .selectOption({ label: 'no longer: it may have leaked' });
    await dialog.getByRole('button', { name: 'Rotate the key' }).click();
    const next = await takeSecret();
    expect(await verify(key)).toBeUndefined();
    expect(await verify(next)).toEqual(['reader']);

    await at.button('Revoke nightly').click();
    await confirmByName(at, 'nightly', 'Revoke the key');
    await at.says('No API keys.');
    expect(await verify(next)).toBeUndefined();
  });
});
