import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Browser, type CDPSession, type Page } from 'playwright-core';

import { TcpProxy } from '../support/tcp-proxy.mjs';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { startTestService, type TestService } from '../support/test-service.ts';
import { startWebBackend, type WebBackend } from '../support/web-backend.ts';
import { oathtoolCode, pyotpCode } from './authenticator-apps.ts';
import { challengeFor, startFreshFactorRoute } from './fresh-factor-route.ts';
import { runTool } from './run-tool.ts';
import { launchBrowser } from './launch-browser.ts';
import { describeWith } from './tool.ts';
import { until } from './until.ts';

const password = 'correct horse battery';
/** Long enough for a busy machine between the proof and the call, short enough to wait for its end. */
const MAX_AUTH_AGE_SECONDS = 4;

describeWith('chromium', 'second factors on the page of examples/web-backend', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-page-'));
  let database: TestDatabase;
  let service: TestService;
  let [backend, stranger]: WebBackend[] = [];
  let browser: Browser;
  let url: string;
  let people = 0;

  beforeAll(async () => {
    database = await createTestDatabase();
    // Postern must know the origin of the page, and its port is known when the back end listens: a socket has a name before.
    const grpcAddress = `unix:${join(folder, 'grpc')}`;
    backend = await startWebBackend({ grpcAddress, database }, 'web', {
      environment: { MAX_AUTH_AGE: String(MAX_AUTH_AGE_SECONDS) },
    });
    stranger = await startWebBackend({ grpcAddress, database }, 'stranger');
    url = `http://localhost:${backend.port}`;
    const settings = { POSTERN_GRPC_LISTEN: grpcAddress, POSTERN_PASSKEY_ORIGINS: url };
    service = await startTestService(settings, database);
    browser = await launchBrowser();
  }, 60_000);
  afterAll(async () => {
    await browser.close();
    await Promise.all([backend?.stop(), stranger?.stop()]);
    await service.stop();
    await database.drop();
    rmSync(folder, { recursive: true });
  });

  /** Opens the page in a browser profile of its own. Whatever the work does, it must not break the content security policy. */
  async function onPage<T>(work: (page: Page) => Promise<T>): Promise<T> {
    const context = await browser.newContext({ viewport: { width: 800, height: 900 } });
    try {
      await context.addInitScript({ content: MARK_OFFERS });
      const page = await context.newPage();
      const faults: string[] = [];
      page.on('console', (line) => void faults.push(line.text()));
      page.on('pageerror', (error) => void faults.push(`uncaught: ${error.message}`));
      await open(page, url);
      const done = await work(page);
      expect(faults.filter((fault) => /Content Security Policy|Trusted|uncaught/.test(fault))).toEqual([]);
      return done;
    } finally {
      await context.close();
    }
  }
  async function open(page: Page, target: string): Promise<void> {
    await page.goto(target);
    await page.locator('body[data-ready]').waitFor();
  }

  interface Person {
    readonly email: string;
    readonly id: string;
  }
  async function makePerson(): Promise<Person> {
    const email = `person${(people += 1)}@example.com`;
    return { email, id: await service.addUser(email, password, ['editor']) };
  }

  const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true });
  const click = (page: Page, name: string) => button(page, name).click();
  const says = (page: Page, text: string) => page.locator('#message').getByText(text).waitFor();
  const isLoggedIn = (page: Page, { id }: Person, level: 'aal1' | 'aal2') =>
    page.getByText(`Logged in as ${id} with roles [editor], level ${level}`).waitFor();

  async function typePassword(page: Page, { email }: Person): Promise<void> {
    await page.locator('#login').getByLabel('E-mail').fill(email);
    await page.locator('#login').getByLabel('Password').fill(password);
    await click(page, 'Log in');
  }
  async function typeCode(page: Page, code: string): Promise<void> {
    await page.locator('#login').getByLabel('Code').fill(code);
    await click(page, 'Log in');
  }
  async function logOut(page: Page): Promise<void> {
    await click(page, 'Log out');
    await button(page, 'Log in').waitFor();
    await page.locator('body[data-ready]').waitFor();
  }

  /** Reads the recovery codes that the page shows once. */
  async function keepRecoveryCodes(page: Page): Promise<string[]> {
    await button(page, 'I have kept them').waitFor();
    const codes = await page.locator('#codes li').allTextContents();
    expect(codes).toHaveLength(10);
    await click(page, 'I have kept them');
    await until(async () => (await page.locator('#codes li').count()) === 0);
    return codes;
  }

  /** @returns the secret that the page shows */
  async function addAuthenticatorApp(page: Page): Promise<string> {
    await click(page, 'Add an authenticator app');
    const code = page.getByRole('img', { name: 'QR code' });
    await code.waitFor();
    const secret = await page.locator('#secret').innerText();
    const image = join(folder, 'qr.png');
    await code.screenshot({ path: image });
    const { stdout: scanned } = await runTool('zbarimg', ['--quiet', '--raw', image]);
    expect(scanned).toContain(`secret=${secret}`);
    await page
      .locator('#totp')
      .getByRole('textbox')
      .fill(await pyotpCode(scanned.trim()));
    await click(page, 'Confirm');
    return secret;
  }

  /** A virtual authenticator of this device, which verifies its user and confirms at once. */
  async function attachAuthenticator(page: Page): Promise<{ cdp: CDPSession; authenticatorId: string }> {
    const cdp = await page.context().newCDPSession(page);
    await cdp.send('WebAuthn.enable');
    const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', {
      options: {
        ...{ protocol: 'ctap2', ctap2Version: 'ctap2_1', transport: 'internal' },
        ...{ hasResidentKey: true, hasUserVerification: true, isUserVerified: true },
        automaticPresenceSimulation: true,
      },
    });
    return { cdp, authenticatorId };
  }
  async function addPasskey(page: Page): Promise<void> {
    await click(page, 'Add a passkey');
    await page.getByText('This device: passkey, never used').waitFor();
  }
  /** Waits until the offer of the page (conditional UI) has reached the browser: one that is confirmed logs in before a button can. */
  const offersPasskeys = (page: Page) => page.locator('html[data-offers]').waitFor();
  /** Without it the browser would answer the offer of the page by itself. */
  const confirmByItself = (
    { cdp, authenticatorId }: Awaited<ReturnType<typeof attachAuthenticator>>,
    enabled: boolean,
  ) => cdp.send('WebAuthn.setAutomaticPresenceSimulation', { authenticatorId, enabled });

  test('M65 a person scans the QR code, logs in with a code and with a recovery code, and each counts once', async () => {
    const person = await makePerson();
    await onPage(async (page) => {
      await typePassword(page, person);
      await isLoggedIn(page, person, 'aal1');
      const secret = await addAuthenticatorApp(page);
      const [recoveryCode = ''] = await keepRecoveryCodes(page);
      await page.getByText('Phone: authenticator app').waitFor();
      await page.getByText('10 recovery codes are left.').waitFor();
      await page.reload();
      await isLoggedIn(page, person, 'aal2');

      await logOut(page);
      await typePassword(page, person);
      await says(page, 'Enter the code of your authenticator app.');
      const code = await oathtoolCode(secret, 1);
      await typeCode(page, code);
      await isLoggedIn(page, person, 'aal2');

      await logOut(page);
      await typePassword(page, person);
      await says(page, 'Enter the code of your authenticator app.');
      await typeCode(page, code);
      await says(page, 'The code is wrong or was used already.');
      await typeCode(page, recoveryCode);
      await isLoggedIn(page, person, 'aal2');
      await page.getByText('9 recovery codes are left.').waitFor();

      await click(page, 'Replace the recovery codes');
      expect(await keepRecoveryCodes(page)).not.toContain(recoveryCode);
      await click(page, 'Delete');
      await until(async () => (await page.locator('#factors li').count()) === 0);
      await logOut(page);
      await typePassword(page, person);
      await isLoggedIn(page, person, 'aal1');
    });
  }, 60_000);

  test('M66 a person adds a passkey and logs in with it, by the button and from the field of the e-mail', async () => {
    const person = await makePerson();
    await onPage(async (page) => {
      const authenticator = await attachAuthenticator(page);
      await typePassword(page, person);
      await isLoggedIn(page, person, 'aal1');
      await addPasskey(page);
      await keepRecoveryCodes(page);
      await page.reload();
      await isLoggedIn(page, person, 'aal2');

      await confirmByItself(authenticator, false);
      await logOut(page);
      await offersPasskeys(page);
      await confirmByItself(authenticator, true);
      await click(page, 'Log in with a passkey');
      await isLoggedIn(page, person, 'aal2');

      // Nothing is clicked: the browser offers the passkey, and the person takes it.
      await confirmByItself(authenticator, false);
      await logOut(page);
      await offersPasskeys(page);
      await confirmByItself(authenticator, true);
      await page.reload();
      await isLoggedIn(page, person, 'aal2');
    });
  }, 60_000);

  test('M66 the device refuses a second passkey of the same person, and whoever it cannot verify', async () => {
    const person = await makePerson();
    await onPage(async (page) => {
      const authenticator = await attachAuthenticator(page);
      await typePassword(page, person);
      await isLoggedIn(page, person, 'aal1');
      await addPasskey(page);
      await keepRecoveryCodes(page);
      await click(page, 'Add a passkey');
      await says(page, 'This device has a passkey of yours already.');

      await confirmByItself(authenticator, false);
      await logOut(page);
      const { authenticatorId, cdp } = authenticator;
      await cdp.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false });
      await offersPasskeys(page);
      await confirmByItself(authenticator, true);
      await click(page, 'Log in with a passkey');
      await says(page, 'The passkey was not confirmed.');
    });
  }, 60_000);

  test('M67 Postern refuses a passkey that was used on the page of another origin', async () => {
    const person = await makePerson();
    await onPage(async (page) => {
      const authenticator = await attachAuthenticator(page);
      await typePassword(page, person);
      await isLoggedIn(page, person, 'aal1');
      await addPasskey(page);
      await keepRecoveryCodes(page);
      await confirmByItself(authenticator, false);
      await logOut(page);
      // The same host, and so the same relying party for the browser; only the port differs.
      await open(page, `http://localhost:${stranger?.port ?? 0}`);
      await offersPasskeys(page);
      await confirmByItself(authenticator, true);
      await click(page, 'Log in with a passkey');
      await says(page, 'This passkey is not known here.');
      await open(page, url);
      await isLoggedIn(page, person, 'aal2');
    });
  }, 60_000);

  test('M67 at an IP address the page says why there are no passkeys', async () => {
    await onPage(async (page) => {
      await attachAuthenticator(page);
      await open(page, url.replace('localhost', '127.0.0.1'));
      await click(page, 'Log in with a passkey');
      await says(page, 'Passkeys need a host name, and an IP address is none.');
    });
  });

  test('M68 what is sensitive asks for a fresh proof: the password, or a passkey of those who have one', async () => {
    const person = await makePerson();
    await onPage(async (page) => {
      const authenticator = await attachAuthenticator(page);
      await typePassword(page, person);
      await isLoggedIn(page, person, 'aal1');
      await payUntilAsked(page);
      await page.locator('#step-up').getByLabel('Password').fill('wrong horse battery');
      await click(page, 'Confirm');
      await page.getByText('The e-mail or the password is wrong.').waitFor();
      await page.locator('#step-up').getByLabel('Password').fill(password);
      await click(page, 'Confirm');
      await says(page, 'Paid.');

      await addPasskey(page);
      await keepRecoveryCodes(page);
      await payUntilAsked(page);
      expect(await page.locator('#step-up').getByLabel('Password').isVisible()).toBe(false);
      await click(page, 'Confirm with a passkey');
      await says(page, 'Paid.');

      await payUntilAsked(page);
      const { authenticatorId, cdp } = authenticator;
      await cdp.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false });
      await click(page, 'Confirm with a passkey');
      await page.getByText('The passkey was not confirmed.').waitFor();
      await click(page, 'Cancel');
      expect(await page.locator('#message').innerText()).toBe('');
    });
  }, 90_000);

  test('M69 Envoy refuses the old proof of a browser, and lets the token of its step-up with a passkey pass', async () => {
    const person = await makePerson();
    const proxy = new TcpProxy(join(folder, 'grpc'));
    const ports = { grpcPort: await proxy.open(), httpPort: Number(new URL(service.httpUrl).port) };
    const rule = { role: 'editor', maxAuthAgeSeconds: MAX_AUTH_AGE_SECONDS };
    const route = await startFreshFactorRoute(folder, ports, rule);
    try {
      await onPage(async (page) => {
        await attachAuthenticator(page);
        await typePassword(page, person);
        await isLoggedIn(page, person, 'aal1');
        const added = tokenFrom(page, '/account/passkey');
        await addPasskey(page);
        await keepRecoveryCodes(page);
        const token = await added;
        expect((await route.list(token)).status).toBe(200);
        const refused = await until(async () => {
          const response = await route.cancel(token);
          return response.status !== 200 && response;
        });
        expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([
          401,
          expect.stringMatching(challengeFor(MAX_AUTH_AGE_SECONDS)),
        ]);

        await payUntilAsked(page);
        const raised = tokenFrom(page, '/account/step-up');
        await click(page, 'Confirm with a passkey');
        expect((await route.cancel(await raised)).status).toBe(200);
      });
    } finally {
      await route.stop();
      await proxy.close();
    }
  }, 60_000);

  /** The access token in an answer to the page, which keeps it in the memory of a module. */
  async function tokenFrom(page: Page, path: string): Promise<string> {
    const response = await page.waitForResponse(url + path);
    return ((await response.json()) as { accessToken: string }).accessToken;
  }

  /** Pays again and again until the proof is too old. */
  async function payUntilAsked(page: Page): Promise<void> {
    await until(async () => {
      await click(page, 'Pay');
      const asked = page.locator('#step-up[open]');
      await page.locator('#message').getByText('Paid.').or(asked).waitFor();
      return asked.isVisible();
    });
  }
});

/** Runs in the page before its scripts. */
const MARK_OFFERS = `
  const get = navigator.credentials.get.bind(navigator.credentials);
  navigator.credentials.get = (options) => {
    const answer = get(options);
    if (options?.mediation === 'conditional') document.documentElement.dataset.offers = 'true';
    return answer;
  };`;
