import { generateKeyPairSync } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { makeIssuerKey, mint, shapes } from '../../support/outside-issuer.ts';
import { describeWith } from '../tool.ts';
import { until } from '../until.ts';
import { ConsoleBrowser, type ConsolePage } from './console-browser.ts';

const OWN = 'https://postern.example';
const SCRIPT = '<img/src=x/onerror=alert(1)>';

describeWith('chromium', 'service accounts, trusted issuers and audiences in the console', () => {
  let console: ConsoleBrowser;
  beforeAll(async () => {
    console = await ConsoleBrowser.start({ POSTERN_ISSUER: OWN, POSTERN_AUDIENCE: 'postern,orders' });
  }, 60_000);
  afterAll(() => console.stop());

  const dialog = (page: ConsolePage) => page.page.getByRole('dialog');
  const press = (page: ConsolePage, name: string | RegExp) =>
    dialog(page).getByRole('button', { name, exact: true }).click();

  /** Reads the credentials that a dialog shows, and closes it. */
  async function keepCredentials(page: ConsolePage): Promise<{ id: string; secret: string }> {
    const text = await dialog(page).locator('output.secret').innerText();
    const [, id = '', secret = ''] =
      /^POSTERN_CLIENT_ID=(\S+)\nPOSTERN_CLIENT_SECRET=(\S+)$/.exec(text) ?? [];
    // It is not shown again, so that Escape alone must not lose it. Chromium lets a page refuse only the first one.
    for (let presses = 0; presses < 3; presses += 1) await page.page.keyboard.press('Escape');
    await press(page, 'I have kept it');
    await dialog(page).waitFor({ state: 'detached' });
    return { id, secret };
  }

  async function createAccount(
    page: ConsolePage,
    name: string,
    roles: string,
  ): Promise<{ id: string; secret: string }> {
    await page.open('#/service-accounts');
    await page.button('Create a service account').click();
    await dialog(page).getByLabel('Name').fill(name);
    await dialog(page).getByLabel('Roles').fill(roles);
    await press(page, 'Create the account');
    return keepCredentials(page);
  }

  const tokenFor = ({ id, secret }: { id: string; secret: string }) =>
    console.service.call('postern.v1.AuthService/IssueServiceToken', {
      client_id: id,
      client_secret: secret,
    });
  const tokenIn = ({ response, message }: Awaited<ReturnType<typeof tokenFor>>): string => {
    if (!response) throw new Error(message);
    return String(response['access_token']);
  };
  const verdictOf = async (token: string) =>
    (await console.service.call('postern.v1.AuthService/VerifyToken', { access_token: token })).reason ??
    'OK';
  const exchange = (token: string) =>
    console.service.call('postern.v1.AuthService/ExchangeToken', { subject_token: token });

  describe('service accounts', () => {
    test('C37 C40 the secret is shown once, works, and a rotation ends what it says', async () => {
      await console.onPage({}, async (page) => {
        const created = await createAccount(page, 'billing', 'reader, writer');
        expect(await page.page.title()).toBe('billing · Postern');
        const token = tokenIn(await tokenFor(created));
        await page.page.reload();
        await page.button('Log out').waitFor();
        await page.loaded();
        expect(await page.page.content()).not.toContain(created.secret);
        await page.expectAccessible();

        await page.button('Rotate the secret').click();
        await page.says('Both secrets work for 1 day');
        await press(page, 'Rotate');
        const second = await keepCredentials(page);
        expect(second.id).toBe(created.id);
        expect([(await tokenFor(created)).reason, (await tokenFor(second)).reason]).toEqual([
          undefined,
          undefined,
        ]);
        await page.says(/the one before it is accepted as well/);

        await page.button('Rotate the secret').click();
        await dialog(page).getByLabel('The present secret is accepted for').selectOption('0');
        await page.says('Every secret of the account stops working now');
        await page.expectAccessible();
        await press(page, 'Rotate, and end everything now');
        const third = await keepCredentials(page);
        expect([(await tokenFor(created)).reason, (await tokenFor(second)).reason]).toEqual([
          'INVALID_CREDENTIALS',
          'INVALID_CREDENTIALS',
        ]);
        expect(await verdictOf(token)).toBe('TOKEN_REVOKED');
        expect(await verdictOf(tokenIn(await tokenFor(third)))).toBe('OK');
      });
    });

    test('C39 a role that is taken away ends the tokens, and the dialog says so before', async () => {
      await console.onPage({}, async (page) => {
        const account = await createAccount(page, 'shipping', 'reader writer');
        const token = tokenIn(await tokenFor(account));
        await page.button('Change roles').click();
        const roles = dialog(page).getByLabel('Roles');
        await roles.fill('reader, writer, auditor');
        await press(page, 'Save');
        await page.says('auditor');
        expect(await verdictOf(token)).toBe('OK');

        await page.button('Change roles').click();
        await roles.fill('reader');
        await page.says('Taken away: auditor, writer. All access tokens of the account end now');
        await press(page, 'Save, and end these tokens');
        await dialog(page).waitFor({ state: 'detached' });
        expect(await verdictOf(token)).toBe('TOKEN_REVOKED');

        await page.button(/: Audiences that it serves$/).click();
        await dialog(page).getByLabel('orders').check();
        await press(page, 'Save');
        await dialog(page).waitFor({ state: 'detached' });
        const list = await console.call('AdminService/ListServiceAccounts', {});
        expect(list['service_accounts']).toContainEqual(
          expect.objectContaining({ name: 'shipping', roles: ['reader'], own_audiences: ['orders'] }),
        );
        await page.says('Change a service account');
      });
    });

    test('public keys and API keys are added and deleted, and an account is deleted by its name', async () => {
      const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      await console.onPage({ refusals: /^400 .*AddServiceKey$/ }, async (page) => {
        const account = await createAccount(page, 'nightly', '');
        await page.button('Add a public key').click();
        await dialog(page).getByLabel('JSON Web Key').fill('{"kty": "oct", "k": "AAAA"}');
        await press(page, 'Add the key');
        await dialog(page).getByRole('alert').waitFor();
        await dialog(page)
          .getByLabel('JSON Web Key')
          .fill(JSON.stringify(publicKey.export({ format: 'jwk' })));
        await press(page, 'Add the key');
        await page.says('The key is added.');
        await page.button(/^Delete the key /).click();
        await press(page, 'Delete the key');
        await page.says('The key is deleted. Tokens ended: 0.');

        await page.button('Create an API key').click();
        await dialog(page).getByLabel(/^Name/).fill('export');
        await press(page, 'Create the key');
        expect(await dialog(page).locator('output.secret').innerText()).toMatch(/^pak_/);
        await press(page, 'I have kept it');

        await page.button('Delete the account').click();
        const doIt = dialog(page).getByRole('button', { name: 'Delete the account', exact: true });
        expect(await doIt.isDisabled()).toBe(true);
        await dialog(page)
          .getByLabel(/To confirm, type/)
          .fill('nightly');
        await doIt.click();
        await page.page.getByRole('heading', { name: 'Service accounts' }).waitFor();
        await page.open(`#/service-accounts/${account.id}`);
        await page.says('There is no service account with the ID');
        expect((await tokenFor(account)).reason).toBe('INVALID_CREDENTIALS');
      });
    });

    test('C38 a search finds a part of a name and a client ID, and is in the address', async () => {
      const { client_id: id } = await console.call('AdminService/CreateServiceAccount', {
        name: 'warehouse',
      });
      await console.onPage({}, async (page) => {
        await page.open('#/service-accounts');
        const field = page.page.getByLabel('Name contains, or client ID');
        await field.fill('WAREh');
        await page.button('Search').click();
        await page.says('warehouse');
        expect(page.page.url()).toContain('#/service-accounts?find=WAREh');
        expect(await page.page.locator('tbody tr').count()).toBe(1);
        await page.open(`#/service-accounts?find=${String(id)}`);
        expect(await page.page.locator('tbody tr').count()).toBe(1);
        await page.open('#/service-accounts?find=nobody');
        await page.says('No service account matches.');
        await page.page.setViewportSize({ width: 320, height: 640 });
        await page.open(`#/service-accounts/${String(id)}`);
        expect(await page.scrollsSideways()).toBe(false);
      });
    });
  });

  test('C41 C42 an issuer is trusted, an identity bound and exchanged, and the issuer disabled: its tokens end', async () => {
    const key = makeIssuerKey('k1');
    const name = 'https://token.actions.githubusercontent.com';
    const outside = () => mint(key, shapes.github(name, OWN));
    const { client_id: clientId } = await console.call('AdminService/CreateServiceAccount', {
      name: 'deploy',
    });
    await console.onPage({ refusals: /^400 .*CreateWorkloadBinding$/ }, async (page) => {
      await page.open('#/trusted-issuers');
      await page.says('No issuer is trusted yet.');
      await page.button('Trust an issuer').click();
      await dialog(page).getByLabel('Its keys are').selectOption('static');
      await dialog(page)
        .getByLabel('JSON Web Key Set')
        .fill(JSON.stringify({ keys: [key.jwk] }));
      await page.expectAccessible();
      await press(page, 'Trust the issuer');
      await page.page.getByRole('heading', { name, exact: true }).waitFor();
      await page.says('once only');
      expect((await exchange(outside())).reason).toBe('IDENTITY_NOT_BOUND');

      await page.open(`#/service-accounts/${String(clientId)}`);
      await page.button('Bind an identity').click();
      // A name alone can be registered again by somebody else: the service refuses it, and the dialog stays.
      const claims = dialog(page).getByLabel('Claim', { exact: true });
      const values = dialog(page).getByLabel('Value', { exact: true });
      await values.nth(1).fill('refs/heads/main');
      await press(page, 'Bind');
      await page.says('The claim repository_id has no value.');
      await claims.nth(0).fill('');
      await press(page, 'Bind');
      await page.says(/must contain repository_id or repository_owner_id/);
      await claims.nth(0).fill('repository_id');
      await values.nth(0).fill('74');
      await press(page, 'Bind');
      await page.says('The identity is bound.');
      await page.says('repository_id = 74');
      const token = tokenIn(await exchange(outside()));
      expect(await verdictOf(token)).toBe('OK');

      await page.link(name).click();
      await page.says('deploy');
      await page.button('Disable').click();
      await press(page, 'Disable the issuer');
      await page.says('The issuer is disabled. Tokens ended: 1.');
      await page.says('disabled');
      await page.expectAccessible();
      expect(await verdictOf(token)).toBe('TOKEN_REVOKED');
      expect((await exchange(outside())).reason).toBe('ISSUER_NOT_TRUSTED');

      await page.button('Enable').click();
      await page.says('The issuer is enabled');
      const second = tokenIn(await exchange(outside()));
      await page.button('Change the keys').click();
      await dialog(page)
        .getByLabel('JSON Web Key Set')
        .fill(JSON.stringify({ keys: [makeIssuerKey('k2').jwk] }));
      await press(page, 'Save');
      await page.says('k2');
      await until(async () => (await exchange(outside())).reason === 'TOKEN_KEY_UNKNOWN');
      await page.button(/^Delete the binding of /).click();
      await press(page, 'Delete the binding');
      await page.says('The binding is deleted. Tokens ended: 1.');
      expect(await verdictOf(second)).toBe('TOKEN_REVOKED');
      await page.button('Delete the issuer').click();
      await dialog(page)
        .getByLabel(/To confirm, type/)
        .fill(name);
      await press(page, 'Delete the issuer');
      await page.says('No issuer is trusted yet.');
    });
  });

  test('an audience is added, can be asked for, and is removed by its name', async () => {
    await console.onPage({}, async (page) => {
      await page.open('#/audiences');
      await page.says('default');
      await page.button('Add an audience').click();
      await dialog(page).getByLabel('Name').fill('ledger');
      await press(page, 'Add the audience');
      await page.says('ledger is added');
      await page.expectAccessible();
      await page.button('Remove ledger').click();
      await dialog(page)
        .getByLabel(/To confirm, type/)
        .fill('ledger');
      await press(page, 'Remove the audience');
      await page.says('ledger is removed.');
      expect(await page.button('Remove orders').count()).toBe(0);
    });
  });

  test('C43 script in names of audiences, keys, claims and roles is shown as text', async () => {
    const key = { ...makeIssuerKey('k1').jwk, kid: SCRIPT };
    await console.call('AdminService/CreateAudience', { name: SCRIPT });
    const { client_id: clientId } = await console.call('AdminService/CreateServiceAccount', {
      name: 'hostile',
      allowed_audiences: [SCRIPT],
    });
    const { id } = await console.call('AdminService/CreateTrustedIssuer', {
      issuer: `https://hostile.example/${SCRIPT}`,
      audience: SCRIPT,
      keys: { static_jwks: JSON.stringify({ keys: [key] }) },
    });
    await console.call('AdminService/CreateWorkloadBinding', {
      issuer_id: id,
      client_id: clientId,
      claims: { sub: SCRIPT, [SCRIPT.replaceAll('/', '~1')]: 'x' },
    });
    await console.onPage({}, async (page) => {
      const shown = async (path: string) => {
        await page.open(path);
        await page.says(SCRIPT);
        expect(await page.page.locator('img').count()).toBe(0);
      };
      await shown('#/audiences');
      await shown('#/service-accounts');
      await shown(`#/service-accounts/${String(clientId)}`);
      await page.says(`sub = ${SCRIPT}`);
      await shown('#/trusted-issuers');
      await shown(`#/trusted-issuers/${String(id)}`);
      await page.open(`#/service-accounts/${encodeURIComponent(SCRIPT)}`);
      await page.says(SCRIPT);
      expect(await page.page.locator('img').count()).toBe(0);
    });
  });
});
