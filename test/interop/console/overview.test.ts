import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { until } from '../../support/wait-for.ts';
import { describeWith } from '../tool.ts';
import { ConsoleBrowser, type ConsolePage } from './console-browser.ts';

describeWith('chromium', 'the Overview page in a browser', () => {
  let console: ConsoleBrowser;
  beforeAll(async () => {
    console = await ConsoleBrowser.start();
  }, 60_000);
  afterAll(() => console.stop());

  const chart = (page: ConsolePage, title: string) =>
    page.page.getByRole('img', { name: new RegExp(`^${title}`) });
  const revoked = /401 \/postern.v1.AuthService\/VerifyToken/;

  test('C27 shows the state of the instance, and what is normal', async () => {
    await console.onPage({}, async (page) => {
      await page.open('#/overview');
      await page.says(/^Instance [0-9a-f]{8}$/);
      for (const title of [
        'Users',
        'Live sessions',
        'Trust age',
        'Password hashing',
        'Database',
        'Watchers',
        'Up for',
      ])
        await page.page.getByRole('heading', { name: new RegExp(`^${title}`), level: 3 }).waitFor();
      await page.says(/Normal below 2\s?s\. Verification stops at 300\s?s\./);
      await page.expectAccessible();
      await page.page.setViewportSize({ width: 320, height: 640 });
      expect(await page.scrollsSideways()).toBe(false);
      await page.page.emulateMedia({ colorScheme: 'dark' });
      await page.expectAccessible();
    });
  });

  test('the status is shown of a refusal without a reason, as an instance of an earlier release gives it', async () => {
    await console.onPage({ refusals: /^404 / }, async (page) => {
      const contentType = 'application/json';
      const body = '{"code":"unimplemented","message":"this process serves no such method"}';
      await page.page.route('**/GetOverview', (route) => route.fulfill({ status: 404, contentType, body }));
      await page.open('#/users');
      await page.open('#/overview');
      await page.page.locator('code', { hasText: /^UNIMPLEMENTED$/ }).waitFor();
    });
  });

  test('C28 the panel shows a login and its revocation, which the charts show as well, and leaves no user', async () => {
    const users = async () =>
      (await console.database.query('SELECT email FROM users ORDER BY email')).map(({ email }) => email);
    const before = await users();
    await console.onPage({ refusals: revoked }, async (page) => {
      await page.open('#/overview');
      await page.button('Log in and revoke').click();
      await page.says(/Refused .* after the revocation was sent\./);
      await page.page.getByRole('button', { name: 'Do it again', disabled: false }).waitFor();
      const steps = await page.page.locator('li .answer').allInnerTexts();
      expect(steps.map((step) => /^(\w+) .* [\d.,]+\s(?:ms|s)$/.exec(step)?.[1])).toEqual([
        'CreateUser',
        'Login',
        'VerifyToken',
        'RevokeToken',
        'VerifyToken',
        'DeleteUser',
      ]);
      expect(steps[4]).toContain('TOKEN_REVOKED');
      expect(await users()).toEqual(before);
      // A revocation stands alone in the chart: a point, of which a line needs two.
      await page.page
        .locator('figure', { hasText: 'Revocation delay' })
        .locator('.plot .dot')
        .first()
        .waitFor({ state: 'attached' });
      await until(
        async () =>
          /p50: last [\d.]+\sms/.test(
            (await chart(page, 'Revocation delay').getAttribute('aria-label')) ?? '',
          ),
        'the revocation is in the chart',
      );
      expect(await chart(page, 'Logins a second').getAttribute('aria-label')).toMatch(
        /successful: last .*at most 0\.\d+\/s/,
      );
      await page.page
        .locator('figure', { hasText: 'Logins a second' })
        .getByText('Values as a table')
        .click();
      await page.page.getByRole('columnheader', { name: 'wrong credentials' }).waitFor();
      await page.expectAccessible();
    });
    const events = await console.database.query(
      `SELECT action FROM audit_events WHERE target_id IN (SELECT target_id FROM audit_events WHERE action = 'user.delete')
         AND action LIKE 'user.%' ORDER BY id`,
    );
    expect(events.map(({ action }) => action)).toEqual(['user.create', 'user.delete']);
  });

  test('C28 the user is deleted although a step failed', async () => {
    await console.onPage({ refusals: /503 .*Login/ }, async (page) => {
      await page.open('#/overview');
      await page.page.route('**/postern.v1.AuthService/Login', (route) =>
        route.fulfill({
          status: 503,
          contentType: 'application/json',
          body: '{"code":"unavailable","message":"try later"}',
        }),
      );
      await page.button('Log in and revoke').click();
      await page.says('Try later');
      await page.says('The temporary user is deleted again.');
      // The button can be pressed again when all steps are over.
      await page.page.getByRole('button', { name: 'Do it again', disabled: false }).waitFor();
      expect(await console.database.query("SELECT 1 FROM users WHERE email LIKE 'try-it-%'")).toEqual([]);
    });
  });

  test('C29 a restart begins a series of its own, and its silence is said', async () => {
    await console.onPage({ refusals: /^0 |^50\d |^401 / }, async (page) => {
      await page.open('#/overview');
      const names = () => page.page.getByRole('heading', { name: /^Instance / }).allInnerTexts();
      await page.says(/^Instance [0-9a-f]{8}$/);
      const [first = ''] = await names();
      await console.stopService();
      await page.says('No answer from Postern.');
      await console.startService();
      await until(async () => (await names()).length === 2, 'the new instance has answered');
      expect((await names())[1]).toBe(first);
      await page.page.getByText('No answer from Postern.').waitFor({ state: 'detached' });
      const labels = await page.page.evaluate<string>(
        `[...document.querySelectorAll('svg[role=img]')].map((svg) => svg.getAttribute('aria-label')).join()`,
      );
      expect(labels).not.toMatch(/-\d/);
    });
  });

  test('C29 a frozen service is said, never asked twice at once, and asked again when it answers', async () => {
    await console.onPage({}, async (page) => {
      await page.open('#/overview');
      await page.says(/^Instance [0-9a-f]{8}$/);
      let running = 0;
      let most = 0;
      const ofOverview = (url: string) => url.endsWith('/GetOverview');
      page.page.on('request', (request) => {
        if (ofOverview(request.url())) most = Math.max(most, (running += 1));
      });
      page.page.on('response', (response) => {
        if (ofOverview(response.url())) running -= 1;
      });
      console.proxy.delayMs = 2_800;
      await page.says('No answer from Postern.');
      console.proxy.delayMs = 0;
      await page.page.getByText('No answer from Postern.').waitFor({ state: 'detached' });
      expect(most).toBe(1);
    });
  });
});
