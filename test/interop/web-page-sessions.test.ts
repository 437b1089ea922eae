import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Browser, type BrowserContext, type Page } from 'playwright-core';

import { addPasskey } from '../support/passkeys.ts';
import { SoftwareAuthenticator } from '../support/software-authenticator.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { startTestService, type TestService } from '../support/test-service.ts';
import { startWebBackend, type WebBackend } from '../support/web-backend.ts';
import { launchBrowser } from './launch-browser.ts';
import { describeWith } from './tool.ts';

const password = 'correct horse battery';

describeWith('chromium', 'sessions on the page of examples/web-backend', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-page-'));
  let database: TestDatabase;
  let service: TestService;
  let backend: WebBackend;
  let browser: Browser;
  let url: string;

  beforeAll(async () => {
    database = await createTestDatabase();
    const grpcAddress = `unix:${join(folder, 'grpc')}`;
    backend = await startWebBackend({ grpcAddress, database });
    url = `http://localhost:${backend.port}`;
    service = await startTestService(
      { POSTERN_GRPC_LISTEN: grpcAddress, POSTERN_PASSKEY_ORIGINS: url },
      database,
    );
    browser = await launchBrowser();
  }, 60_000);
  afterAll(async () => {
    await browser.close();
    await backend.stop();
    await service.stop();
    await database.drop();
    rmSync(folder, { recursive: true });
  });

  async function inProfile(work: (context: BrowserContext) => Promise<void>): Promise<void> {
    const context = await browser.newContext();
    context.setDefaultTimeout(10_000);
    await work(context).finally(() => context.close());
  }
  async function openPage(context: BrowserContext): Promise<Page> {
    const page = await context.newPage();
    await page.goto(url);
    await page.locator('body[data-ready]').waitFor();
    return page;
  }
  const click = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click();
  const says = (page: Page, text: string) => page.locator('#message').getByText(text).waitFor();
  const isLoggedIn = (page: Page, id: string) => page.getByText(`Logged in as ${id} `).waitFor();
  async function typePassword(page: Page, email: string): Promise<void> {
    await page.locator('#login').getByLabel('E-mail').fill(email);
    await page.locator('#login').getByLabel('Password').fill(password);
    await click(page, 'Log in');
  }

  /** Answers the first payment of a page as the back end would. @returns the number of payments so far */
  async function refuseFirstPayment(page: Page, reason: string): Promise<() => number> {
    let payments = 0;
    const response = {
      status: 401,
      contentType: 'application/json',
      body: JSON.stringify({ error: reason }),
    };
    await page.route(`${url}/api/payments`, (route) =>
      (payments += 1) === 1 ? route.fulfill(response) : route.continue(),
    );
    return () => payments;
  }

  test('M68 a token that expired while the computer slept is renewed, and the action passes', async () => {
    const id = await service.addUser('ann@example.com', password);
    await inProfile(async (context) => {
      const page = await openPage(context);
      await typePassword(page, 'ann@example.com');
      await isLoggedIn(page, id);
      const payments = await refuseFirstPayment(page, 'TOKEN_EXPIRED');
      await click(page, 'Pay');
      await says(page, 'Paid.');
      expect(payments()).toBe(2);
    });
  });

  test('M68 a page does nothing for somebody else who has logged in in another tab', async () => {
    const bob = await service.addUser('bob@example.com', password);
    const eve = await service.addUser('eve@example.com', password);
    await inProfile(async (context) => {
      const other = await openPage(context);
      const page = await openPage(context);
      await typePassword(page, 'bob@example.com');
      await isLoggedIn(page, bob);
      await typePassword(other, 'eve@example.com');
      await isLoggedIn(other, eve);
      const payments = await refuseFirstPayment(page, 'TOKEN_EXPIRED');
      await click(page, 'Pay');
      await isLoggedIn(page, eve);
      expect(payments()).toBe(1);
    });
  });

  test('M68 a browser without passkeys offers what else the person has', async () => {
    const email = 'fay@example.com';
    const id = await service.addUser(email, password);
    const authenticator = new SoftwareAuthenticator({ origin: url });
    const token = await service.tokenOf(email, password);
    const { recoveryCodes } = await addPasskey(service, token, authenticator);
    await inProfile(async (context) => {
      await context.addInitScript(() => {
        Reflect.deleteProperty(globalThis, 'PublicKeyCredential');
      });
      const page = await openPage(context);
      expect(await page.getByRole('button', { name: /passkey/ }).count()).toBe(0);
      await typePassword(page, email);
      await says(page, 'Enter a recovery code.');
      await page
        .locator('#login')
        .getByLabel('Code')
        .fill(recoveryCodes[0] ?? '');
      await click(page, 'Log in');
      await isLoggedIn(page, id);

      await refuseFirstPayment(page, 'STEP_UP_REQUIRED');
      await click(page, 'Pay');
      const dialog = page.locator('#step-up');
      await dialog.getByLabel('Code').fill(recoveryCodes[1] ?? '');
      expect(await dialog.getByRole('button', { name: /passkey/ }).count()).toBe(0);
      await click(page, 'Confirm');
      await says(page, 'Paid.');

      await database.query('DELETE FROM recovery_codes WHERE user_id = $1', [id]);
      await page.unrouteAll();
      await refuseFirstPayment(page, 'STEP_UP_REQUIRED');
      await click(page, 'Pay');
      await says(page, 'Your second factor is a passkey, and this browser has none.');
      await click(page, 'Log out');
      // Of the page that is loaded anew.
      await page.getByRole('button', { name: 'Log in', exact: true }).waitFor();
      await page.locator('body[data-ready]').waitFor();
      await typePassword(page, email);
      await says(page, 'Your second factor is a passkey, and this browser has none.');
    });
  });
});
