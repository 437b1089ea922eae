import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { describeWith } from '../tool.ts';
import { ConsoleBrowser, type ConsolePage, type Person } from './console-browser.ts';

const SCRIPT = '<img src=x onerror="document.title=1"><script>document.title=2</script>';

describeWith('chromium', 'the audit trail in the console', () => {
  let console: ConsoleBrowser;
  let person: Person;
  beforeAll(async () => {
    console = await ConsoleBrowser.start();
    person = await console.addUser('person@example.com');
    // Somebody tries a wrong password, with a program that names itself in markup.
    await console.onPage(
      { as: null, userAgent: SCRIPT, refusals: /^401 \/console\/session$/ },
      async ({ page }) => {
        await page.getByLabel('E-mail', { exact: true }).fill(person.email);
        await page.getByLabel('Password', { exact: true }).fill('wrong password');
        await page.getByRole('button', { name: 'Log in', exact: true }).click();
        await page.getByText('INVALID_CREDENTIALS').waitFor();
      },
    );
    await console.service.tokenOf(person.email, 'correct horse battery');
  }, 60_000);
  afterAll(() => console.stop());

  const rows = (page: ConsolePage) => page.page.locator('table.audit > tbody > tr:not(.details)');
  const hash = (page: ConsolePage) => page.page.evaluate<string>('location.hash');
  async function events(action: string): Promise<number> {
    const result = await console.database.database.unlimited((trx) =>
      trx.raw<{ rows: { events: number }[] }>(
        `SELECT count(*)::integer AS events FROM audit_events WHERE action = ?`,
        [action],
      ),
    );
    return result.rows[0]?.events ?? 0;
  }

  test('C52 says why a login failed, and shows what the caller sent as text', async () => {
    await console.onPage({}, async (page) => {
      await page.open('#/audit');
      await page.page.getByLabel('Action').selectOption('login');
      await page.page.getByLabel('Outcome').selectOption('refused');
      await page.button('Show').click();
      await page.says('the credentials are wrong: wrong password');
      expect(await hash(page)).toBe('#/audit?action=login&outcome=refused');
      expect(await rows(page).count()).toBe(1);
      await page.button(/^Details of Log in/).click();
      await page.says(SCRIPT);
      expect(await page.page.locator('main img, main script').count()).toBe(0);
      expect(await page.page.title()).toBe('Audit · Postern');
      await page.expectAccessible();
    });
  });

  test('C50 its filters stand in the address, and links lead both ways', async () => {
    await console.onPage({}, async (page) => {
      await page.open('#/audit');
      await page.page.getByLabel('By (actor)').fill(person.email);
      await page.button('Show').click();
      const filtered = `#/audit?actor=${person.id}`;
      await page.page.waitForURL((url) => url.hash === filtered);
      await page.loaded();
      expect(await rows(page).count()).toBe(1);
      await page.page.reload();
      await rows(page).first().waitFor();
      expect(await page.page.getByLabel('By (actor)').inputValue()).toBe(person.id);

      await page.link('Last hour').click();
      await page.page.waitForURL((url) => url.hash === `${filtered}&since=1h`);
      await page.loaded();
      expect(await page.link('Last hour').getAttribute('aria-current')).toBe('true');
      expect(await rows(page).count()).toBe(1);
      await page.page.goBack();
      await page.page.waitForURL((url) => url.hash === filtered);

      await page.page.locator(`a[href="#/users/${person.id}"]`).first().click();
      await page.page.waitForURL((url) => url.hash === `#/users/${person.id}`);
      await page.page.goBack();
      await page.button(/^Details of Log in/).click();
      await page
        .link(/^All events on /)
        .first()
        .click();
      await page.page.waitForURL((url) => url.hash.startsWith('#/audit?target='));

      // A time that was typed is a time of this browser's zone.
      await page.open('#/audit?until=2001-02-03T04:05:06Z');
      await page.says('No event matches these filters.');
      await page.page.getByLabel('Outcome').selectOption('ok');
      await page.button('Show').click();
      await page.page.waitForURL((url) => url.hash === '#/audit?outcome=ok&until=2001-02-03T04%3A05%3A06Z');
    });
  });

  test('an e-mail that nobody has is said', async () => {
    await console.onPage({ refusals: /^404 .*GetUser$/ }, async (page) => {
      await page.open('#/audit');
      await page.page.getByLabel('On (target)').fill('nobody@example.com');
      await page.button('Show').click();
      await page.says('RESOURCE_NOT_FOUND');
    });
  });

  test('C51 reads names when it is asked to, and no sooner', async () => {
    await console.onPage({}, async (page) => {
      const before = await events('user.read');
      await page.open(`#/audit?action=login&actor=${person.id}`);
      const link = page.page.locator(`a.subject[href="#/users/${person.id}"]`).first();
      await link.waitFor();
      expect(await events('user.read')).toBe(before);
      await link.hover();
      await page.link(person.email).first().waitFor();
      expect(await events('user.read')).toBe(before + 1);
      // What is known is not read again.
      await page.open('#/audit?action=login');
      await page.link(person.email).first().waitFor();
      await page.button('Show names').click();
      await page.link(console.admin.email).first().waitFor();
      expect(await events('user.read')).toBe(before + 2);
      expect(await page.button('Show names').count()).toBe(0);
    });
  });

  test('goes on by pages, newest first, and fits into 320 px', async () => {
    await console.database.database.unlimited((trx) =>
      trx.raw(
        `INSERT INTO audit_events (id, at, action, outcome, actor_type, actor_id)
         SELECT (lpad(to_hex(1600000000000 + i), 12, '0') || '70008000' || lpad(to_hex(i), 12, '0'))::uuid,
                to_timestamp(1600000000 + i), 'trust.watch', 'ok', 'certificate', 'watcher-' || i || '.example.com'
         FROM generate_series(1, 120) i`,
      ),
    );
    await console.onPage({ viewport: { width: 320, height: 640 }, colorScheme: 'dark' }, async (page) => {
      await page.open('#/audit?action=trust.watch');
      await page.link('watcher-120.example.com').waitFor();
      expect(await page.scrollsSideways()).toBe(false);
      await page.expectAccessible();
      await page.button('Next').click();
      await page.link('watcher-70.example.com').waitFor();
      await page.button('Next').click();
      await page.link('watcher-1.example.com').waitFor();
      expect(await rows(page).count()).toBe(20);
      expect(await page.button('Next').isDisabled()).toBe(true);
      await page.button('Previous').click();
      await page.link('watcher-70.example.com').waitFor();
    });
  });
});
