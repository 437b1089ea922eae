import { readFile } from 'node:fs/promises';

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { CDPSession, Page } from 'playwright-core';

import { oathtoolCode } from '../authenticator-apps.ts';
import { describeWith } from '../tool.ts';
import { until } from '../until.ts';
import { ConsoleBrowser, type ConsolePage, PASSWORD, type Person } from './console-browser.ts';

/** What the pages of a user without the role `admin` and of wrong proofs are refused. */
const REFUSALS =
  /^(40[01] \/console\/session|40[13] \/postern\.v1\.AdminService\/GetUser|401 \/postern\.v1\.AuthService\/\w+)$/;

describeWith('chromium', 'the login and My account of the console', () => {
  let console: ConsoleBrowser;
  let people = 0;
  beforeAll(async () => {
    console = await ConsoleBrowser.start();
  }, 60_000);
  afterAll(() => console.stop());

  const makePerson = (roles = ['editor']) => console.addUser(`person${(people += 1)}@example.com`, roles);

  async function typePassword({ page }: ConsolePage, { email }: Person, password = PASSWORD): Promise<void> {
    await page.getByLabel('E-mail', { exact: true }).fill(email);
    await page.getByLabel('Password', { exact: true }).fill(password);
    await page.getByRole('button', { name: 'Log in', exact: true }).click();
  }
  async function logOut(page: ConsolePage): Promise<void> {
    await page.button('Log out').click();
    await page.says('You are logged out.');
  }

  /** Types a name, and reads the secret that the page shows. */
  async function addApp({ page }: ConsolePage): Promise<string> {
    await page.getByRole('button', { name: 'Add an authenticator app' }).click();
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByRole('img', { name: 'QR code' }).waitFor();
    const secret = await page.locator('dialog output').innerText();
    await page.getByLabel('The code that the app shows').fill(await oathtoolCode(secret));
    await page.getByRole('button', { name: 'Confirm' }).click();
    return secret;
  }
  async function keepRecoveryCodes({ page }: ConsolePage): Promise<string[]> {
    await page.getByRole('heading', { name: 'Your recovery codes' }).waitFor();
    const codes = await page.locator('dialog li').allTextContents();
    expect(codes).toHaveLength(10);
    // They are not shown again: a reflex must not close them.
    await page.keyboard.press('Escape');
    expect(await page.locator('dialog li').count()).toBe(10);
    const download = page.waitForEvent('download');
    await page.getByRole('link', { name: 'Download as text' }).click();
    const file = await (await download).path();
    expect((await readFile(file, 'utf8')).trim().split('\n')).toEqual(codes.map((code) => code.trim()));
    await page.getByRole('button', { name: 'I have kept them' }).click();
    await page.locator('dialog').waitFor({ state: 'detached' });
    return codes.map((code) => code.trim());
  }

  test('C53 a wrong password is said, its field has the keyboard, and the page that was asked for opens', async () => {
    await console.onPage({ as: null, refusals: REFUSALS }, async (page) => {
      await page.page.goto(`${console.url}#/signing-keys`);
      await typePassword(page, console.admin, 'wrong horse battery');
      await page.page.getByRole('alert').waitFor();
      expect(await page.page.locator('input[name=password]:focus').count()).toBe(1);
      await page.expectAccessible();
      await page.page.getByLabel('Password', { exact: true }).fill(PASSWORD);
      await page.page.keyboard.press('Enter');
      await page.page.getByRole('heading', { name: 'Signing keys', level: 1 }).waitFor();
    });
  });

  test('C53 after too many failed logins the page says how long to wait, and lets nobody try before', async () => {
    const person = await makePerson();
    for (let tries = 0; tries < 5; tries += 1) {
      const login = { email: person.email, password: 'wrong horse battery' };
      expect((await console.service.call('postern.v1.AuthService/Login', login)).reason).toBe(
        'INVALID_CREDENTIALS',
      );
    }
    await console.onPage(
      { as: null, refusals: /^(429 \/console\/session|403 \/postern\.v1\.AdminService\/GetUser)$/ },
      async (page) => {
        await typePassword(page, person);
        await page.says(/^Too many failed logins\. Try again in (a second|\d seconds)\.$/);
        const button = page.page.getByRole('button', { name: 'Log in', exact: true });
        expect(await button.isDisabled()).toBe(true);
        await button.click();
        await page.button('Log out').waitFor();
      },
    );
  });

  test('C54 a person adds an authenticator app, logs in with a code and with a recovery code, and each counts once', async () => {
    const person = await makePerson();
    await console.onPage({ as: person, refusals: REFUSALS, acceptDownloads: true }, async (page) => {
      await page.says('The other pages are for users with the role');
      const secret = await addApp(page);
      const [recoveryCode = ''] = await keepRecoveryCodes(page);
      await page.says('a second factor or a passkey');
      await page.says('10 recovery codes are left.');
      await page.expectAccessible();

      await logOut(page);
      await typePassword(page, person);
      const code = page.page.getByLabel('Code of your authenticator app, or a recovery code');
      await code.waitFor();
      await page.expectAccessible();
      await code.fill('000000');
      await page.page.keyboard.press('Enter');
      await page.says('SECOND_FACTOR_INVALID');
      const next = await oathtoolCode(secret, 1);
      await code.fill(next);
      await page.page.keyboard.press('Enter');
      await page.button('Log out').waitFor();

      await logOut(page);
      await typePassword(page, person);
      await code.fill(next);
      await page.page.keyboard.press('Enter');
      await page.says('SECOND_FACTOR_INVALID');
      await code.fill(recoveryCode);
      await page.page.keyboard.press('Enter');
      await page.says('9 recovery codes are left.');
    });
  });

  test('C55 a change of factors asks for a fresh proof over its dialog, cancelling shows the refusal, and it is done once', async () => {
    const person = await makePerson();
    await console.onPage({ as: person, refusals: REFUSALS, acceptDownloads: true }, async (page) => {
      await addApp(page);
      const [first = '', second = ''] = await keepRecoveryCodes(page);
      await makeProofOld(person);
      await page.page.reload();
      await page.page.getByRole('button', { name: 'Replace the recovery codes' }).click();
      await page.button('Replace them').click();
      const asked = page.page.getByRole('heading', { name: 'Confirm that it is you' });
      await asked.waitFor();
      await page.expectAccessible();
      await page.page.keyboard.press('Escape');
      await page.says('STEP_UP_REQUIRED');
      expect(await page.page.locator('dialog').count()).toBe(1);

      await page.button('Replace them').click();
      const code = page.page.getByLabel('Code of your authenticator app, or a recovery code');
      await code.fill('000000');
      await page.page.keyboard.press('Enter');
      await page.says('SECOND_FACTOR_INVALID');
      await code.fill(first);
      await page.page.keyboard.press('Enter');
      expect(await keepRecoveryCodes(page)).not.toContain(second);
      await page.says('10 recovery codes are left.');
    });
  });

  /** As if the session had been proven an hour ago. A reload then renews the token, which says so. */
  async function makeProofOld({ id }: Person): Promise<void> {
    await console.database.query(
      `UPDATE sessions SET authenticated_at = authenticated_at - interval '1 hour' WHERE user_id = '${id}'`,
    );
  }

  test('C56 a person adds a passkey and logs in with it, alone and as second factor, and from the field of the e-mail', async () => {
    const person = await makePerson();
    await console.onPage({ as: null, refusals: REFUSALS, acceptDownloads: true }, async (page) => {
      await page.page.addInitScript({ content: MARK_OFFERS });
      await page.page.reload();
      const confirms = await attachAuthenticator(page.page);
      await typePassword(page, person);
      await page.page.getByRole('button', { name: 'Add a passkey' }).click();
      await page.button('Continue').click();
      await keepRecoveryCodes(page);
      await page.page.getByRole('cell', { name: 'Passkey', exact: true }).waitFor();
      await page.expectAccessible();

      await confirms(false);
      await logOut(page);
      await offersPasskeys(page.page);
      await confirms(true);
      await page.button('Use a passkey').click();
      await page.button('Log out').waitFor();

      await confirms(false);
      await logOut(page);
      await offersPasskeys(page.page);
      await typePassword(page, person);
      await page.says('Now your second factor.');
      await confirms(true);
      await page.button('Use a passkey').click();
      await page.button('Log out').waitFor();

      // Nothing is clicked: the browser offers the passkey, and the person takes it.
      const offered = page.page.waitForResponse(`${console.origin}/console/session`);
      await page.button('Log out').click();
      expect((await offered).status()).toBe(200);
      await page.button('Log out').waitFor();

      await makeProofOld(person);
      await page.page.reload();
      await page.page.getByRole('button', { name: 'Delete This device' }).click();
      await page.page.getByLabel(/^To confirm, type/).fill('This device');
      await page.button('Delete').click();
      await page.page.getByRole('heading', { name: 'Confirm that it is you' }).waitFor();
      await page.button('Use a passkey').click();
      await page.says('No second factors.');
    });
  });

  /** Waits until the offer of the page (conditional UI) has reached the browser: one that is confirmed logs in before a button can. */
  async function offersPasskeys(page: Page): Promise<void> {
    await page.locator('html[data-offers]').waitFor();
    await page.evaluate('delete document.documentElement.dataset.offers');
  }

  /** A virtual authenticator of this device, which verifies its user. @returns what lets it confirm by itself, or not */
  async function attachAuthenticator(page: Page): Promise<(enabled: boolean) => Promise<unknown>> {
    const cdp: CDPSession = await page.context().newCDPSession(page);
    await cdp.send('WebAuthn.enable');
    const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', {
      options: {
        ...{ protocol: 'ctap2', ctap2Version: 'ctap2_1', transport: 'internal' },
        ...{ hasResidentKey: true, hasUserVerification: true, isUserVerified: true },
        automaticPresenceSimulation: true,
      },
    });
    return (enabled) => cdp.send('WebAuthn.setAutomaticPresenceSimulation', { authenticatorId, enabled });
  }

  test('C57 a changed password opens a session in place of all others, which the other pages of the browser take up', async () => {
    const person = await makePerson(['admin']);
    await console.onPage({ as: person, refusals: REFUSALS }, async (page) => {
      const other = await page.page.context().newPage();
      await other.goto(console.url);
      await other.getByRole('button', { name: 'Log out' }).waitFor();
      await page.page.bringToFront();
      await page.open('#/account');
      await page.page.getByLabel('Current password').fill('wrong horse battery');
      await page.page.getByLabel('New password', { exact: true }).fill('staple horse battery 9');
      await page.button('Change the password').click();
      await page.says('The current password is wrong.');
      await page.page.getByLabel('Current password').fill(PASSWORD);
      await page.page.getByLabel('New password', { exact: true }).fill('short');
      await page.button('Change the password').click();
      await page.says('PASSWORD_POLICY');
      await page.page.getByLabel('New password', { exact: true }).fill('staple horse battery 9');
      // Another page that renews meanwhile waits: the answer to its old refresh token would delete the new cookie.
      let send = (): void => undefined;
      const sent = new Promise<void>((done) => (send = done));
      await page.page.route('**/console/session', (route) => sent.then(() => route.continue()));
      await page.button('Change the password').click();
      await other.reload();
      const waiting = () =>
        other.evaluate<number>('navigator.locks.query().then(({ pending }) => pending.length)');
      await until(async () => (await waiting()) === 1);
      send();
      await page.says('Your password is changed.');
      await page.says('this session');
      expect(await page.page.locator('tbody tr', { hasText: 'Mozilla' }).count()).toBe(1);
      await other.reload();
      await other.getByRole('button', { name: 'Log out' }).waitFor();

      await page.button('End all my sessions').click();
      await page.button('End them').click();
      await page.says('All of your sessions have ended.');
      await other.getByRole('button', { name: 'Log in', exact: true }).waitFor();
      await until(async () => (await other.getByText('in another tab').count()) === 1);
    });
  });
});

/** Runs in the page before its scripts. */
const MARK_OFFERS = `
  const get = navigator.credentials.get.bind(navigator.credentials);
  navigator.credentials.get = (options) => {
    const answer = get(options);
    if (options?.mediation === 'conditional') document.documentElement.dataset.offers = 'true';
    return answer;
  };`;
