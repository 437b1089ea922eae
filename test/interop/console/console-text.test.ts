import { afterAll, beforeAll, expect, test } from '@jest/globals';

import type { Message } from '../../support/test-service.ts';
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
    await console.database.query('UPDATE users SET email = $2, external_id = $3 WHERE id = $1', [
      evil.id,
      `"<img/src=x/onerror=ran=1>"@example.com`,
      EVIL,
    ]);
    await console.database.query('UPDATE user_roles SET role = $2 WHERE user_id = $1', [evil.id, EVIL]);
    const login: Message = { email: `"<img/src=x/onerror=ran=1>"@example.com`, password: PASSWORD };
    const client = { device_name: EVIL, user_agent: EVIL };
    await console.service.call('postern.v1.AuthService/Login', { ...login, client });
    const key = await console.call('AdminService/CreateApiKey', {
      user_id: evil.id,
      api_key: { name: EVIL, roles: [] },
    });
    expect(key).toBeDefined();
    const account = await console.call('AdminService/CreateServiceAccount', { name: 'evil', roles: ['worker'] });
    const clientId = String(account['client_id']);
    await console.database.query('UPDATE service_accounts SET name = $2 WHERE id = $1', [clientId, EVIL]);
    await console.call('AdminService/GetUser', { id: evil.id });

    await console.onPage({}, async (page) => {
      const shown = async (path: string) => {
        await page.open(path);
        expect([path, await page.page.evaluate('globalThis.ran')]).toEqual([path, undefined]);
        expect(await page.page.locator('main img, main script').count()).toBe(0);
        return page.page.locator('main').innerText();
      };
      expect(await shown('#/users')).toContain('<img/src=x/onerror=ran=1>');
      const user = await shown(`#/users/${evil.id}`);
      expect(user.split(EVIL).length).toBeGreaterThanOrEqual(3);
      expect(await shown('#/service-accounts')).toContain(EVIL);
      expect(await shown(`#/service-accounts/${clientId}`)).toContain(EVIL);
      expect(await shown(`#/audit?target=${evil.id}`)).toContain('User');
      // Text of the address itself.
      for (const path of ['users', 'service-accounts', 'trusted-issuers', 'nowhere', 'audit'])
        await shown(`#/${path}/${encodeURIComponent(EVIL)}?email=${encodeURIComponent(EVIL)}`);
      await shown(`#/audit?actor=${encodeURIComponent(EVIL)}&action=${encodeURIComponent(EVIL)}`);
      await shown(`#/users?email=${encodeURIComponent(EVIL)}&role=${encodeURIComponent(EVIL)}`);
    });
  }, 60_000);
});
