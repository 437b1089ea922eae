import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { describeWith } from '../tool.ts';
import { ConsoleBrowser } from './console-browser.ts';

describeWith('chromium', 'the console in a browser', () => {
  let console: ConsoleBrowser;
  beforeAll(async () => {
    console = await ConsoleBrowser.start();
  }, 60_000);
  afterAll(() => console.stop());

  test('logs in, and stays logged in after a reload', async () => {
    await console.onPage({}, async (page) => {
      await page.open('#/users');
      expect(await page.page.title()).toBe('Users · Postern');
      await page.page.reload();
      await page.button('Log out').waitFor();
      await page.expectAccessible();
    });
  });
});
