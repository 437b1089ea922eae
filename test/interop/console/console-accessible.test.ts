import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { describeWith } from '../tool.ts';
import { ConsoleBrowser, type ConsolePage } from './console-browser.ts';
import { type ConsolePaths, fillConsole } from './console-data.ts';

describeWith('chromium', 'the console for everybody', () => {
  let console: ConsoleBrowser;
  let paths: ConsolePaths;
  beforeAll(async () => {
    console = await ConsoleBrowser.start();
    paths = await fillConsole(console);
  }, 60_000);
  afterAll(() => console.stop());

  /** Does it on each page, and says on which it failed. */
  async function onEachPage(
    page: ConsolePage,
    find: (name: string, path: string) => Promise<readonly string[]>,
  ): Promise<void> {
    const faults: string[] = [];
    for (const [name, path] of Object.entries(paths.all)) {
      await page.open(path);
      for (const fault of await find(name, path)) faults.push(`${name}: ${fault}`);
    }
    expect(faults).toEqual([]);
  }

  test.each(['light', 'dark'] as const)(
    'C65 axe-core finds no fault in any page or dialog: %s',
    async (colorScheme) => {
      // The schemes differ in their colours alone.
      const rules = colorScheme === 'dark' ? ['color-contrast'] : undefined;
      await console.onPage({ as: null, colorScheme }, async (page) => {
        expect(await page.accessibilityFaults(rules)).toEqual([]);
      });
      await console.onPage({ colorScheme }, async (page) => {
        const dialogs = new Set<string>();
        await onEachPage(page, async () => {
          const faults = [...(await page.accessibilityFaults(rules))];
          await page.eachDialog(async (_button, dialog) => {
            dialogs.add(dialog);
            faults.push(...(await page.accessibilityFaults(rules)));
          });
          return faults;
        });
        expect(dialogs.size).toBeGreaterThan(15);
      });
    },
    120_000,
  );

  test.each([
    ['at 320 px', { viewport: { width: 320, height: 640 } }],
    ['at 1280 px with a zoom of 200 %', { viewport: { width: 640, height: 400 }, deviceScaleFactor: 2 }],
    ['at 3840 px', { viewport: { width: 3840, height: 2160 } }],
  ])(
    'C66 no page and no dialog scrolls sideways %s',
    async (_name, options) => {
      await console.onPage(options, async (page) => {
        await onEachPage(page, async () => {
          const faults = (await page.scrollsSideways()) ? ['page'] : [];
          await page.eachDialog(async () => {
            const isWide = await page.page.evaluate<boolean>(`(() => {
              const { left, right } = document.querySelector('dialog').getBoundingClientRect();
              const { scrollWidth, clientWidth } = document.querySelector('dialog');
              return left < 0 || right > innerWidth || scrollWidth > clientWidth;
            })()`);
            if (isWide) faults.push(await page.page.getByRole('dialog').getByRole('heading').innerText());
          });
          return faults;
        });
      });
    },
    120_000,
  );

  test('C66 no width between is too small for the navigation', async () => {
    await console.onPage({}, async (page) => {
      await page.open('#/audiences');
      const tooSmall: number[] = [];
      for (let width = 640; width <= 1280; width += 40) {
        await page.page.setViewportSize({ width, height: 640 });
        if (await page.scrollsSideways()) tooSmall.push(width);
      }
      expect(tooSmall).toEqual([]);
    });
  });

  test('C66 a long e-mail takes no room of other columns, and words in them stay whole', async () => {
    const long = await console.addUser(`${'a'.repeat(64)}@${`${'b'.repeat(60)}.`.repeat(3)}test`);
    const measure = `[...document.querySelectorAll('.scroll')].flatMap((box) => [
      ...(box.scrollWidth > box.clientWidth ? ['scrolls'] : []),
      ...[...box.querySelectorAll('.tag, td time')].filter((one) => one.getClientRects().length > 1 || one.offsetHeight > 24)
        .map((one) => one.innerText),
    ])`;
    await console.onPage({}, async (page) => {
      for (const path of ['#/users', `#/users/${long.id}`, `#/audit?target=${long.id}`]) {
        await page.open(path);
        expect([path, await page.page.evaluate<string[]>(measure)]).toEqual([path, []]);
      }
    });
  });

  test('C66 on a small screen the navigation folds away, and a page that is chosen folds it again', async () => {
    await console.onPage({ viewport: { width: 320, height: 640 } }, async (page) => {
      const menu = page.button('Menu');
      const link = page.link('Signing keys');
      expect(await link.isVisible()).toBe(false);
      await menu.click();
      expect(await menu.getAttribute('aria-expanded')).toBe('true');
      await page.expectAccessible();
      await link.click();
      await page.page.getByRole('heading', { name: 'Signing keys', level: 1 }).waitFor();
      expect([await menu.getAttribute('aria-expanded'), await link.isVisible()]).toEqual(['false', false]);
    });
  });

  test('C66 nothing moves for those who prefer no motion', async () => {
    await console.onPage({ reducedMotion: 'reduce' }, async (page) => {
      await onEachPage(page, () =>
        page.page.evaluate<string[]>(`[...document.querySelectorAll('*')].filter((element) => {
          const { animationName, transitionDuration, transitionProperty } = getComputedStyle(element);
          return animationName !== 'none' || (transitionProperty !== 'none' && parseFloat(transitionDuration) > 0);
        }).map((element) => element.outerHTML.slice(0, 80))`),
      );
    });
  });

  test('C67 the keyboard alone: skip link, order, dialogs that keep and return it', async () => {
    await console.onPage({}, async (page) => {
      const { keyboard } = page.page;
      await page.open('#/service-accounts');
      await page.page.reload();
      await page.loaded();
      await keyboard.press('Tab');
      expect(await focused(page)).toBe('Skip to the content');
      await keyboard.press('Enter');
      expect(await focused(page)).toBe('Service accounts');
      expect(await page.page.evaluate('document.activeElement.tagName')).toBe('H1');

      await page.page.reload();
      await page.loaded();
      const order = [];
      for (let step = 0; step < 5; step += 1) {
        await keyboard.press('Tab');
        order.push(await focused(page));
      }
      expect(order).toEqual(['Skip to the content', 'Postern', 'Overview', 'Users', 'Service accounts']);

      await page.open('#/users');
      expect(await focused(page)).toBe('Users');
      await page.open('#/service-accounts');
      await page.button('Create a service account').focus();
      await keyboard.press('Enter');
      await page.page.getByRole('dialog').waitFor();
      // The focus stays in the dialog, or in the controls of the browser: for a page that is the body.
      for (let step = 0; step < 12; step += 1) {
        expect(
          await page.page.evaluate(
            `document.activeElement === document.body || document.activeElement.closest('dialog') !== null`,
          ),
        ).toBe(true);
        await keyboard.press('Tab');
      }
      await keyboard.press('Escape');
      await page.page.getByRole('dialog').waitFor({ state: 'detached' });
      expect(await focused(page)).toBe('Create a service account');

      for (const path of Object.values(paths.all)) {
        await page.open(path);
        await page.eachDialog(async (_button, name) => {
          expect(await page.page.evaluate(`document.activeElement.closest('dialog') !== null`)).toBe(true);
          // By Cancel, whose dialog the page removes, and not only by Escape.
          await page.button(/^(?:Cancel|Close)$/).click();
          await page.page.getByRole('dialog').waitFor({ state: 'detached' });
          expect([path, await focused(page)]).toEqual([path, name]);
        });
      }
    });
  }, 120_000);
});

/** The text of what has the keyboard. */
function focused({ page }: ConsolePage): Promise<string> {
  return page.evaluate<string>('document.activeElement.innerText.trim()');
}
