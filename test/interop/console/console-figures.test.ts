import { mkdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { CDPSession } from 'playwright-core';

import { describeWith } from '../tool.ts';
import { ConsoleBrowser } from './console-browser.ts';
import { type ConsolePaths, fillConsole } from './console-data.ts';

const images = fileURLToPath(new URL('../../../docs/images/', import.meta.url));
/** The heights of pictures with what matters: the charts, and not more rows than fit the file. */
const HEIGHTS: Readonly<Record<string, number>> = { Overview: 900, Audit: 680 };
const MAX_IMAGE_BYTES = 120 * 1024;
/** What a first visit may transfer: the files of the console, at most 60 KB, and the first answers. */
const MAX_BYTES = 80 * 1024;
/** The heap of a page after garbage collection. */
const MAX_HEAP_BYTES = 16 * 1024 * 1024;

describeWith('chromium', 'the figures and pictures of the console', () => {
  let console: ConsoleBrowser;
  let paths: ConsolePaths;
  beforeAll(async () => {
    console = await ConsoleBrowser.start();
    paths = await fillConsole(console);
  }, 60_000);
  afterAll(() => console.stop());

  test('the console is small, and each page asks little', async () => {
    await console.onPage({}, async (page) => {
      const cdp: CDPSession = await page.page.context().newCDPSession(page.page);
      await cdp.send('Network.enable');
      let bytes = 0;
      let requests = 0;
      cdp.on('Network.requestWillBeSent', ({ request }) => {
        if (!request.url.startsWith('data:')) requests += 1;
      });
      cdp.on('Network.loadingFinished', ({ encodedDataLength }) => (bytes += encodedDataLength));
      const figures: string[] = [];
      const measure = async (name: string, open: () => Promise<unknown>) => {
        [bytes, requests] = [0, 0];
        const startMs = performance.now();
        await open();
        await page.loaded();
        const ms = performance.now() - startMs;
        await cdp.send('HeapProfiler.collectGarbage');
        const { usedSize } = await cdp.send('Runtime.getHeapUsage');
        figures.push(
          `${name}: ${ms.toFixed(0)} ms, ${requests} requests, ${(bytes / 1024).toFixed(1)} KB, ` +
            `heap ${(usedSize / 1048576).toFixed(1)} MB`,
        );
        return { bytes, requests, usedSize };
      };
      await cdp.send('Network.setCacheDisabled', { cacheDisabled: true });
      const first = await measure('Cold start', () => page.page.reload());
      expect(first.bytes).toBeLessThan(MAX_BYTES);
      for (const [name, path] of Object.entries(paths.all)) {
        const { requests: asked, usedSize } = await measure(name, () => page.open(path));
        expect([name, asked <= 10]).toEqual([name, true]);
        expect([name, usedSize < MAX_HEAP_BYTES]).toEqual([name, true]);
      }
      process.stdout.write(`${figures.join('\n')}\n`);
    });
  }, 60_000);

  // Taken with UPDATE_IMAGES=1, and looked at before they are committed.
  const pictures =
    process.env['UPDATE_IMAGES'] === '1'
      ? ([
          ['console-overview', 'Overview', 'light'],
          ['console-overview-dark', 'Overview', 'dark'],
          ['console-users', 'Users', 'light'],
          ['console-user', 'User', 'light'],
          ['console-signing-keys', 'Signing keys', 'light'],
          ['console-audit', 'Audit', 'light'],
        ] as const)
      : [];
  for (const [file, page, colorScheme] of pictures)
    test(`takes the picture ${file}`, async () => {
      mkdirSync(images, { recursive: true });
      const viewport = { width: 1280, height: HEIGHTS[page] ?? 800 };
      await console.onPage({ colorScheme, viewport }, async (consolePage) => {
        await consolePage.open(paths.all[page] ?? '');
        if (page === 'Overview') await fillCharts();
        if (page === 'Signing keys') {
          await fillTimeline();
          await consolePage.page.reload();
          await consolePage.loaded();
        }
        const path = `${images}${file}.png`;
        await consolePage.page.mouse.move(0, 0);
        await consolePage.page.screenshot({ path });
        expect(readFileSync(path).length).toBeLessThan(MAX_IMAGE_BYTES);
      });
    }, 120_000);

  /** Makes one key retired, one active and one pending, a few minutes apart. */
  async function fillTimeline(): Promise<void> {
    await console.call('AdminService/RotateSigningKey', { now: true });
    await console.database.query(
      `UPDATE signing_keys SET created_at = created_at - i, activate_at = activate_at - i, activated_at = activated_at - i,
         retired_at = retired_at - interval '7 minutes', remove_at = remove_at - interval '7 minutes'
       FROM (VALUES ('active', interval '7 minutes'), ('retired', interval '50 minutes')) shift (of_state, i) WHERE of_state = state`,
    );
    await console.call('AdminService/RotateSigningKey', {});
  }

  /** Logs in and revokes for half a minute, so that the charts of Overview show something. */
  async function fillCharts(): Promise<void> {
    const endMs = performance.now() + 30_000;
    for (let round = 0; performance.now() < endMs; round += 1) {
      const token = await console.service.tokenOf('clara.rossi@example.com', 'correct horse battery');
      const authorization = `Bearer ${token}`;
      for (let call = 0; call <= round % 7; call += 1)
        await console.service.call('postern.v1.AuthService/VerifyToken', {}, { authorization });
      if (round % 3 === 0)
        await console.service.call('postern.v1.AuthService/RevokeToken', { token }, { authorization });
    }
  }
});
