import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { describeWith } from '../tool.ts';
import { ConsoleBrowser } from './console-browser.ts';

describeWith('chromium', 'the console without an answer', () => {
  let console: ConsoleBrowser;
  beforeAll(async () => {
    console = await ConsoleBrowser.start();
  }, 60_000);
  afterAll(() => console.stop());

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
      await page.page.getByText('Postern cannot be reached.').waitFor({ state: 'detached', timeout: 15_000 });
    });
  }, 60_000);

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
