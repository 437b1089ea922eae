import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';

import { oathtoolCode } from '../authenticator-apps.ts';
import { describeWith } from '../tool.ts';
import { until } from '../until.ts';
import { ConsoleBrowser, PASSWORD } from './console-browser.ts';

/** Access tokens short enough to see renewals, and answers to an absent service or an ended session. */
const REFUSALS = /^(0 |5\d\d |401 \/console\/session|40[13] \/postern\.v1\.)/;
/** The page asks every five seconds; the machine may be busy. */
const NOTICED_MS = 15_000;

/** Lets the service do a call of AdminService or AuthService, and keeps its answer from the page until `release`. */
async function held(page: Page, method: string) {
  let release = (): void => undefined;
  const released = new Promise<void>((done) => (release = done));
  let arrive = (): void => undefined;
  const arrived = new Promise<void>((done) => (arrive = done));
  const pattern = `**/postern.v1.*/${method}`;
  await page.route(pattern, async (route) => {
    const response = await route.fetch();
    arrive();
    await released;
    await route.fulfill({ response });
  });
  return {
    arrived,
    release: async () => {
      const answered = page.waitForResponse(pattern);
      release();
      await (await answered).finished();
    },
  };
}

const logInButton = (page: Page) => page.getByRole('button', { name: 'Log in', exact: true });
const logOutButton = (page: Page) => page.getByRole('button', { name: 'Log out', exact: true });

describeWith('chromium', 'the session of the console', () => {
  describe('of an administrator', () => {
    let console: ConsoleBrowser;
    beforeAll(async () => {
      console = await ConsoleBrowser.start();
    }, 60_000);
    afterAll(() => console.stop());

    test('C57 a session that was ended elsewhere ends the page within seconds, and at once when something is called', async () => {
      await console.onPage({ refusals: REFUSALS }, async (page) => {
        const endSessions = () => console.call('AdminService/RevokeSessions', { user_id: console.admin.id });
        await page.open('#/account');
        await endSessions();
        await page.page.getByText('Your session was ended').waitFor({ timeout: NOTICED_MS });

        await page.logIn(console.admin);
        await page.open('#/account');
        await endSessions();
        // The question of the page itself does not come through: the call of the person finds out.
        await page.page.route('**/postern.v1.AuthService/VerifyToken', (route) => route.abort());
        await page.button('Add an authenticator app').click();
        await page.button('Continue').click();
        await page.says('Your session was ended');
        expect(await page.page.locator('dialog').count()).toBe(0);
      });
    });

    test('C58 several pages of a browser share the session: a login and a logout in one is that of all', async () => {
      await console.onPage({ as: null, refusals: REFUSALS }, async (page) => {
        const other = await page.page.context().newPage();
        await other.goto(console.url);
        await logInButton(other).waitFor();
        await page.logIn(console.admin);
        await logOutButton(other).waitFor();
        // Both renew at the same moment, again and again: no refresh token counts as used twice.
        for (let round = 0; round < 3; round += 1) {
          await Promise.all([page.page.reload(), other.reload()]);
          await Promise.all([logOutButton(page.page).waitFor(), logOutButton(other).waitFor()]);
        }
        await logOutButton(other).click();
        await page.says('You logged out in another tab.');
        await page.page.reload();
        await logInButton(page.page).waitFor();
      });
    });

    test('C58 a page that is closed while it renews keeps the new cookie: the old one, used again later, would end the session', async () => {
      await console.onPage({ refusals: REFUSALS }, async ({ page }) => {
        const context = page.context();
        const cookie = async () => (await context.cookies(console.url)).map(({ value }) => value).join();
        const before = await cookie();
        const other = await context.newPage();
        console.proxy.delayMs = 300;
        try {
          await Promise.all([other.waitForRequest('**/console/session/refresh'), other.goto(console.url)]);
          await other.close();
          expect(await until(async () => (await cookie()) !== before)).toBe(true);
        } finally {
          console.proxy.delayMs = 0;
        }
      });
    });

    test('C58 nothing that one user has begun is done as another, who has logged in in another tab', async () => {
      const bob = await console.addUser('bob@example.com', ['editor']);
      await console.onPage({ refusals: REFUSALS }, async (page) => {
        await page.open('#/account');
        const { page: tab } = page;
        const calls: string[] = [];
        tab.on('request', (request) => void calls.push(request.url()));
        // As if the message of the other tab had not come through: the cookie is Bob's, and the page does not know.
        await tab.evaluate(`fetch('../console/session', { method: 'POST', headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ email: '${bob.email}', password: '${PASSWORD}' }) }).then((answer) => answer.text())`);
        await console.call('AdminService/RevokeSessions', { user_id: console.admin.id });
        await tab.route('**/postern.v1.AuthService/VerifyToken', (route) => route.abort());
        await page.button('Add an authenticator app').click();
        await page.button('Continue').click();
        await page.says(bob.id);
        expect(calls.filter((url) => url.endsWith('/EnrolTotp'))).toHaveLength(1);
        expect(await console.database.query('SELECT * FROM factors')).toEqual([]);
      });
    });

    test('C58 an answer that comes late closes no later dialog, and is not shown once the session has ended', async () => {
      await console.onPage({ refusals: REFUSALS }, async (page) => {
        const { page: tab } = page;
        await page.open(`#/users/${console.admin.id}`);
        const renamed = await held(tab, 'UpdateUser');
        await page.button('Change the e-mail').click();
        await tab.getByRole('dialog').getByRole('button', { name: 'Change the e-mail' }).click();
        await renamed.arrived;
        await page.open('#/users');
        await page.open(`#/users/${console.admin.id}`);
        await page.button('Change the roles').click();
        await renamed.release();
        await page.loaded();
        expect(await tab.getByRole('dialog').count()).toBe(1);
        await page.button('Cancel').click();

        await page.open('#/account');
        const created = await held(tab, 'CreateApiKey');
        await page.button('Create an API key').click();
        await tab.getByRole('dialog').getByLabel('Name').fill('late');
        await page.button('Create the key').click();
        await created.arrived;
        const other = await tab.context().newPage();
        await other.goto(console.url);
        await logOutButton(other).click();
        await page.says('You logged out in another tab.');
        await created.release();
        await page.logIn(console.admin);
        expect(await tab.locator('output.secret').count()).toBe(0);
      });
    });

    test('C59 a service that is away is said and does not end the session, which goes on when it is back', async () => {
      await console.onPage({ refusals: REFUSALS }, async (page) => {
        await page.open('#/account');
        await console.stopService();
        await page.checkSession();
        await page.page.getByText('Postern cannot be reached.').waitFor({ timeout: NOTICED_MS });
        await logOutButton(page.page).click();
        await page.says('You are still logged in.');
        const other = await page.page.context().newPage();
        await console.startService();
        await other.goto(console.url);
        await logOutButton(other).waitFor();
        await page.checkSession();
        await page.page
          .getByText('Trying again every few seconds')
          .waitFor({ state: 'detached', timeout: NOTICED_MS });
        await logOutButton(page.page).click();
        await page.says('You are logged out.');
      });
    });

    test('C59 a page that is loaded while the session cannot be renewed waits, and shows no login', async () => {
      await console.onPage({ refusals: REFUSALS }, async (page) => {
        const { page: tab } = page;
        await tab.route('**/console/session/refresh', (route) => route.abort());
        await tab.reload();
        await page.says('Postern cannot be reached.');
        expect(await logInButton(tab).count()).toBe(0);
        await tab.unroute('**/console/session/refresh');
        await page.checkSession();
        await logOutButton(tab).waitFor({ timeout: NOTICED_MS });
      });
    });

    test('C59 a renewal whose answer does not come is tried again while the old cookie may still be used', async () => {
      await console.onPage({ refusals: REFUSALS }, async (page) => {
        const { page: tab } = page;
        await tab.route('**/console/session/refresh', (route) => {
          console.proxy.delayMs = 6_000;
          return route.continue();
        });
        try {
          await tab.reload();
          await page.says('Postern has not answered within 4 seconds.');
        } finally {
          await tab.unroute('**/console/session/refresh');
          console.proxy.delayMs = 0;
        }
        await page.checkSession();
        await logOutButton(tab).waitFor({ timeout: NOTICED_MS });
      });
    });

    test('C69 a slow service is waited for visibly, an absent one is said, and its return is noticed', async () => {
      await console.onPage({ refusals: /^0 / }, async (page) => {
        await page.open('#/users');
        console.proxy.delayMs = 400;
        await page.page.evaluate(`location.hash = '#/service-accounts'`);
        await page.page.locator('.loading').first().waitFor();
        await page.loaded();
        console.proxy.delayMs = 0;

        const port = Number(new URL(console.origin).port);
        await console.proxy.close();
        await page.open('#/trusted-issuers');
        await page.says('Postern cannot be reached. Check that it runs, and your connection.');
        // Nothing spins, and the page offers what can be done.
        expect(await page.page.locator('main .loading').count()).toBe(0);
        const again = page.page.locator('main').getByRole('button', { name: 'Try again' }).first();
        await again.waitFor();
        await page.expectAccessible();
        await console.proxy.open(port);
        await again.click();
        await page.says('No issuer is trusted yet.');
        await page.checkSession();
        await page.page
          .getByText('Postern cannot be reached.')
          .waitFor({ state: 'detached', timeout: 15_000 });
      });
    });

    test('C69 a page without its script says what to do', async () => {
      await console.onPage({ as: null, refusals: /^0 / }, async ({ page }) => {
        const advice = page.getByText('If this stays, reload the page.');
        await page.route('**/app-*.js', (route) => route.abort());
        await page.reload();
        await advice.waitFor();
        await page.unroute('**/app-*.js');
        await page.reload();
        await page.getByLabel('E-mail').waitFor();
        expect(await advice.count()).toBe(0);
      });
    });
  });

  test('C60 an administrator whose role needs a second factor is told so, adds one, and confirms with it after a login', async () => {
    const console = await ConsoleBrowser.start({ POSTERN_SECOND_FACTOR_ROLES: 'admin' });
    try {
      await console.onPage({ refusals: REFUSALS }, async (page) => {
        await page.says('needs a second factor.');
        expect(await page.link('Users').count()).toBe(0);
        await page.says('Add an authenticator app or a passkey below');
        await page.says('admin, withheld');
        await page.expectAccessible();
        await page.button('Add an authenticator app').click();
        await page.button('Continue').click();
        await page.page.getByRole('img', { name: 'QR code' }).waitFor();
        const secret = await page.page.locator('dialog output').innerText();
        await page.page.getByLabel('The code that the app shows').fill(await oathtoolCode(secret));
        await page.button('Confirm').click();
        // The token has the role now, and the codes that are shown once stay on the page.
        await page.says('Your recovery codes');
        await page.button('I have kept them').click();
        await page.link('Users').click();
        await page.page.getByRole('heading', { name: 'Users', level: 1 }).waitFor();

        await console.database.query(`UPDATE sessions SET acr = 'aal1', amr = '{pwd}'`);
        await page.page.reload();
        await page.says('needs a second factor.');
        await page.button('Confirm with a second factor').click();
        await page.page
          .getByLabel('Code of your authenticator app, or a recovery code')
          .fill(await oathtoolCode(secret, 1));
        await page.page.keyboard.press('Enter');
        await page.link('Users').waitFor();
      });
    } finally {
      await console.stop();
    }
  }, 60_000);
});
