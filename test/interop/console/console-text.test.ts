import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { describeWith } from '../tool.ts';
import { ConsoleBrowser, PASSWORD } from './console-browser.ts';

/** Runs as script, style or markup wherever text is taken for one of them. */
const EVIL = `"'><img src=x onerror=ran=1>`;

describeWith('chromium', 'text of users in the console', () => {
  let console: ConsoleBrowser;
  beforeAll(async () => {
    console = await ConsoleBrowser.start();
  }, 60_000);
  afterAll(() => console.stop());

  test('C68 script in every text that somebody chooses is shown as text', async () => {
    // What Postern accepts of it is in the database as it is; what it refuses, a row from elsewhere may still hold.
    const evil = await console.addUser('evil@example.com', ['editor']);
    await console.database.query('UPDATE users SET external_id = $2, roles = $3 WHERE id = $1', [
      evil.id,
      EVIL,
      [EVIL],
    ]);
    // A quoted local part is refused, so that no e-mail holds markup.
    const quoted = { email: '"<img/src=x/onerror=ran=1>"@example.com', password: PASSWORD };
    await expect(console.call('AdminService/CreateUser', quoted)).rejects.toThrow('FIELD_INVALID');
    const login = await fetch(`${console.service.httpUrl}/postern.v1.AuthService/Login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'user-agent': EVIL },
      body: JSON.stringify({ email: evil.email, password: PASSWORD }),
    });
    expect(login.status).toBe(200);
    await console.call('AdminService/CreateApiKey', { user_id: evil.id, api_key: { name: EVIL, roles: [] } });
    const account = await console.call('AdminService/CreateServiceAccount', { name: 'indexer', roles: [] });
    const clientId = String(account['client_id']);
    await console.database.query('UPDATE service_accounts SET name = $2, roles = $3 WHERE id = $1', [
      clientId,
      EVIL,
      [EVIL],
    ]);

    await console.onPage({ refusals: /^400 / }, async (page) => {
      const shown = async (path: string) => {
        await page.open(path);
        expect([path, await page.page.evaluate('globalThis.ran')]).toEqual([path, undefined]);
        expect(await page.page.locator('main img, main script').count()).toBe(0);
        return page.page.locator('main').innerText();
      };
      expect(await shown('#/users')).toContain(EVIL);
      const user = await shown(`#/users/${evil.id}`);
      expect(user.split(EVIL).length).toBeGreaterThan(3);
      expect(await shown('#/service-accounts')).toContain(EVIL);
      expect(await shown(`#/service-accounts/${clientId}`)).toContain(EVIL);
      expect(await shown(`#/audit?target=${evil.id}`)).toContain('API key');
      // Text of the address itself.
      for (const path of ['users', 'service-accounts', 'trusted-issuers', 'nowhere', 'audit'])
        await shown(`#/${path}/${encodeURIComponent(EVIL)}?email=${encodeURIComponent(EVIL)}`);
      await shown(`#/audit?actor=${encodeURIComponent(EVIL)}&action=${encodeURIComponent(EVIL)}`);
      await shown(`#/users?email=${encodeURIComponent(EVIL)}&role=${encodeURIComponent(EVIL)}`);
    });
  }, 60_000);
});
