import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { describeWith } from '../tool.ts';
import { until } from '../until.ts';
import { ConsoleBrowser, type ConsolePage } from './console-browser.ts';

interface ListedKey {
  readonly kid: string;
  readonly state: string;
}

describeWith('chromium', 'the signing keys in the console', () => {
  let console: ConsoleBrowser;
  beforeAll(async () => {
    console = await ConsoleBrowser.start();
  }, 60_000);
  afterAll(() => console.stop());

  const keys = async () =>
    (await console.call('AdminService/ListSigningKeys', {}))['signing_keys'] as ListedKey[];
  const shortOf = async (state: string) =>
    (await keys()).find((key) => key.state === state)?.kid.slice(0, 8) ?? '';
  const row = (page: ConsolePage, short: string) => page.page.getByRole('row').filter({ hasText: short });
  const dialog = (page: ConsolePage) => page.page.getByRole('dialog');
  const confirm = (page: ConsolePage, verb: string) =>
    dialog(page).getByRole('button', { name: verb, exact: true });

  test('C47 says before each change what will happen, and does it', async () => {
    // A token of a revoked key is refused, and the page gets a new one.
    const refusals = /^401 \/postern\.v1\./;
    await console.onPage({ refusals }, async (page) => {
      const first = await shortOf('active');
      await page.open('#/signing-keys');
      await row(page, first).getByText('Signs', { exact: true }).waitFor();
      await page.says('POSTERN_KEY_ROTATION');
      await page.expectAccessible();

      await page.button('Rotate').click();
      await dialog(page).getByText('in 10 minutes').waitFor();
      await page.expectAccessible();
      await confirm(page, 'Rotate').click();
      await page.says(/is published. It signs from/);
      const second = await shortOf('pending');
      await row(page, second).getByText('Published, does not sign yet').waitFor();
      // A second rotation would change nothing: it is not offered.
      expect(await page.button('Rotate').count()).toBe(0);
      await page.says('A rotation is under way');

      await page.button('Rotate at once').click();
      await dialog(page).getByText('refuse new tokens for up to 10 minutes').waitFor();
      await expect(confirm(page, 'Rotate at once').isDisabled()).resolves.toBe(true);
      await dialog(page).getByRole('textbox').fill(first);
      await confirm(page, 'Rotate at once').click();
      await page.says(`Key ${second} signs now.`);
      await row(page, first).getByText('Retired, verifies its last tokens').waitFor();
      expect(await shortOf('active')).toBe(second);

      await page.button(`Revoke key ${first}`).click();
      await dialog(page).getByText('The token of this page is among them').waitFor();
      await dialog(page).getByRole('textbox').fill(second);
      await expect(confirm(page, 'Revoke the key').isDisabled()).resolves.toBe(true);
      await page.expectAccessible();
      await dialog(page).getByRole('textbox').fill(first);
      await confirm(page, 'Revoke the key').click();
      await page.says(`Key ${first} is revoked.`);
      await row(page, first).getByText('Revoked', { exact: true }).waitFor();
      expect(await shortOf('revoked')).toBe(first);
      // The page goes on with a token of the other key.
      await page.open('#/audit?action=key.revoke');
      await page.page.locator('table.audit').getByText('Revoke a signing key').waitFor();
    });
  });

  test('C45 C48 follows changes by others, by the clock of the service, and polls without events', async () => {
    await console.onPage({}, async (page) => {
      await page.page.clock.install({ time: Date.now() + 3 * 3_600_000 });
      await page.page.reload();
      await page.button('Log out').waitFor();
      const asked: string[] = [];
      page.page.on('requestfinished', (request) => void asked.push(request.url().split('/').at(-1) ?? ''));
      const number = (name: string) => asked.filter((method) => method === name).length;
      await page.open('#/signing-keys');
      const active = await shortOf('active');
      // Published and signing for some minutes at most, and not for hours, as the browser's clock has it.
      await row(page, active)
        .getByText(/^(\d+ (second|minute)s? ago|now)$/)
        .first()
        .waitFor();
      const reads = await keyReads();

      const polls = number('GetJwks');
      await until(async () => {
        await page.page.clock.runFor(5_000);
        return number('GetJwks') >= polls + 2;
      });
      expect([number('ListSigningKeys'), await keyReads()]).toEqual([1, reads]);

      await console.call('AdminService/RotateSigningKey', {});
      const pending = await shortOf('pending');
      await until(async () => {
        await page.page.clock.runFor(5_000);
        return (await row(page, pending).count()) > 0;
      });
      await row(page, pending).getByText('Published, does not sign yet').waitFor();
      expect(number('ListSigningKeys')).toBe(2);
    });
  });
  /** How many times this test and the pages have listed the keys, by the audit trail, less the reading of this test. */
  async function keyReads(): Promise<number> {
    const result = await console.database.database.unlimited((trx) =>
      trx.raw<{ rows: { reads: number }[] }>(
        `SELECT count(*)::integer AS reads FROM audit_events WHERE action = 'key.read'`,
      ),
    );
    return result.rows[0]?.reads ?? 0;
  }

  test('says that a service that is away does not answer, and goes on when it does', async () => {
    await console.onPage({ refusals: /^0 / }, async (page) => {
      await page.page.clock.install();
      await page.page.reload();
      await page.button('Log out').waitFor();
      await page.open('#/signing-keys');
      await console.stopService();
      const notice = page.page.getByText(/Postern has not answered since/);
      const isSaid = async (said: number) => {
        await page.page.clock.runFor(5_000);
        return (await notice.count()) === said;
      };
      await until(() => isSaid(1));
      await console.startService();
      await until(() => isSaid(0));
    });
  });

  test('has a table in place of the picture at 320 px', async () => {
    await console.onPage({ viewport: { width: 320, height: 640 }, colorScheme: 'dark' }, async (page) => {
      await page.open('#/signing-keys');
      const active = await shortOf('active');
      await row(page, active).waitFor();
      expect(await page.page.locator('.timeline').isVisible()).toBe(false);
      expect(await page.scrollsSideways()).toBe(false);
      await page.expectAccessible();
    });
  });
});

describeWith('chromium', 'the signing keys in the console, with HS256', () => {
  let console: ConsoleBrowser;
  beforeAll(async () => {
    const secret = 'a secret of more than thirty-two bytes';
    console = await ConsoleBrowser.start({ POSTERN_ALGORITHM: 'HS256', POSTERN_SECRET: secret });
  }, 60_000);
  afterAll(() => console.stop());

  test('are none, and the page says why', async () => {
    await console.onPage({}, async (page) => {
      await page.open('#/signing-keys');
      await page.says('POSTERN_ALGORITHM=HS256');
      expect(await page.page.getByRole('button', { name: /Rotate/ }).count()).toBe(0);
      await page.expectAccessible();
    });
  });
});
