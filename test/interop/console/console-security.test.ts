import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { BrowserContext, Page } from 'playwright-core';

import { describeWith } from '../tool.ts';
import { until } from '../until.ts';
import { ConsoleBrowser, PASSWORD, type Person } from './console-browser.ts';

const ROUTES = ['/console/session', '/console/session/refresh', '/console/session/end'];
const RPCS = ['/postern.v1.AuthService/RefreshToken', '/postern.v1.AdminService/ListUsers'];

describeWith('chromium', 'pages of others against the console', () => {
  let console: ConsoleBrowser;
  let stranger: Person;
  let pages: Server;
  /** What pages of others have been asked for. */
  let port: number;

  beforeAll(async () => {
    console = await ConsoleBrowser.start();
    stranger = await console.addUser('stranger@example.com');
    pages = createServer((request, response) => {
      response.setHeader('content-type', 'text/html');
      response.end(
        request.url === '/frame' ? `<iframe src="${console.url}"></iframe>` : '<title>stranger</title>',
      );
    });
    await new Promise<void>((done) => pages.listen(0, '127.0.0.1', done));
    port = (pages.address() as AddressInfo).port;
  }, 60_000);
  afterAll(async () => {
    pages.closeAllConnections();
    pages.close();
    await console.stop();
  });

  /** Runs with an administrator who is logged in, and a page of somebody else in another tab. */
  async function besideAdmin(
    origin: string,
    work: (other: Page, context: BrowserContext) => Promise<void>,
  ): Promise<void> {
    await console.onPage({ isolates: true }, async (consolePage) => {
      const { page } = consolePage;
      const context = page.context();
      const before = await sessionOf(context);
      expect(before).toMatch(/^\S{20,}$/);
      const other = await context.newPage();
      await other.goto(origin);
      await work(other, context);
      expect(await sessionOf(context)).toBe(before);
      // The session lives, and the page still belongs to the administrator.
      await page.reload();
      await page.getByRole('link', { name: 'Users', exact: true }).waitFor();
      expect(await consolePage.button('Log out').isVisible()).toBe(true);
    });
  }

  async function sessionOf(context: BrowserContext): Promise<string | undefined> {
    const cookies = await context.cookies(console.origin);
    return cookies.find(({ name }) => name === '__Host-postern')?.value;
  }

  /** Follows what arrives at the service, which runs in this process, until it is stopped. */
  function arrivals() {
    const seen: { request: IncomingMessage; response: ServerResponse }[] = [];
    const port = new URL(console.service.httpUrl).port;
    const add = (message: unknown) => {
      const { request, response } = message as { request: IncomingMessage; response: ServerResponse };
      if (String(request.socket.localPort) === port) seen.push({ request, response });
    };
    subscribe('http.server.request.start', add);
    return {
      stop: () => {
        unsubscribe('http.server.request.start', add);
        return seen.map(({ request: { url: path = '', method, headers }, response }) => ({
          ...{ path, method, status: response.statusCode },
          site: headers['sec-fetch-site'],
          hasCookie: (headers.cookie ?? '').includes('__Host-postern'),
        }));
      },
    };
  }

  /** Another site, and another port of the same host: for cookies that is the same site. */
  const others = [
    ['another site', 'cross-site', () => `http://stranger.example:${port}`],
    ['another port of the same host', 'same-site', () => `http://localhost:${port}`],
  ] as const;

  test.each(others)('C61 requests by a page of %s come to nothing', async (_name, expectedSite, origin) => {
    await besideAdmin(origin(), async (other, context) => {
      const requests = arrivals();
      // A login as the stranger would have the administrator work in the account of somebody else.
      const body = JSON.stringify({ email: stranger.email, password: PASSWORD });
      const paths = [...ROUTES, ...RPCS];
      for (const path of paths) {
        for (const type of ['text/plain', 'application/json']) {
          const ends = await other.evaluate<string[]>(`Promise.all(['cors', 'no-cors'].map((mode) =>
            fetch('${console.origin}${path}', {
              method: 'POST', mode, credentials: 'include', body: ${JSON.stringify(body)},
              headers: { 'content-type': '${type}' },
            }).then(async (response) => response.type + ' ' + (await response.text()), () => 'failed')))`);
          for (const end of ends) expect(['failed', 'opaque ']).toContain(end);
        }
      }
      for (const path of paths) {
        // A form whose text is JSON: the name of its field, an equals sign, the value.
        const form = await context.newPage();
        await form.goto(origin());
        await form.evaluate(`{
          const form = document.createElement('form');
          Object.assign(form, { action: '${console.origin}${path}', method: 'post', enctype: 'text/plain' });
          const field = document.createElement('input');
          Object.assign(field, { name: ${JSON.stringify(`${body.slice(0, -1)},"x":"`)}, value: '"}' });
          form.append(field);
          document.body.append(form);
          form.submit();
        }`);
        await form.waitForURL(`${console.origin}${path}`);
        expect(await form.locator('body').innerText()).not.toMatch(/accessToken|access_token/);
        await form.close();
      }
      const ofOthers = requests
        .stop()
        .filter(({ method, site }) => method === 'POST' && site !== 'same-origin');
      const ofRoutes = ofOthers.filter(({ path }) => ROUTES.includes(path));
      // Of each route three fetches, which need no preflight, and the form.
      expect(ofRoutes.map(({ path }) => path).sort()).toEqual(
        ROUTES.flatMap((path) => [path, path, path, path]).sort(),
      );
      for (const { status, site } of ofRoutes) expect([status, site]).toEqual([403, expectedSite]);
      expect(ofOthers.filter(({ status }) => status === 200)).toEqual([]);
      // The attribute of the cookie stops the one and not the other: the check of sec-fetch-site does.
      expect(ofRoutes.some(({ hasCookie }) => hasCookie)).toBe(expectedSite === 'same-site');
    });
  });

  test('C62 no page of another origin can frame the console', async () => {
    for (const [, , origin] of others)
      await besideAdmin(origin(), async (other) => {
        const refusals: string[] = [];
        other.on('console', (line) => void refusals.push(line.text()));
        await other.goto(`${origin()}/frame`);
        await until(() => Promise.resolve(refusals.some((line) => line.includes('frame-ancestors'))));
        expect(await other.frames()[1]?.locator('#app').count()).toBe(0);
      });
  });

  test('C63 a page whose name leads to Postern by DNS (rebinding) reaches neither console nor RPCs', async () => {
    const context = await console.browser.newContext();
    try {
      const page = await context.newPage();
      const rebound = console.origin.replace('localhost', 'rebound.example');
      for (const path of ['/console/', ...ROUTES, ...RPCS]) {
        const response = await page.goto(`${rebound}${path}`);
        expect([path, response?.status()]).toEqual([path, 421]);
      }
      // At the address of a document that every name may read, scripts are of the same origin, and learn no more.
      await page.goto(`${rebound}/livez`);
      for (const path of [...ROUTES, ...RPCS]) {
        const status = await page.evaluate<number>(`fetch('${path}', {
          method: 'POST', body: '{}', headers: { 'content-type': 'application/json' },
        }).then(({ status }) => status)`);
        expect([path, status]).toEqual([path, 421]);
      }
    } finally {
      await context.close();
    }
  });

  test('C64 script that gets into the page does not run', async () => {
    await console.onPage({ breaksPolicy: true }, async ({ page }) => {
      const tries: Record<string, string> = {
        markup: `document.querySelector('main').innerHTML = '<img src=x onerror="window.ran = 1">'`,
        address: `location.href = 'javascript:window.ran = 1'`,
        inline: `{ const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.head.append(s); }`,
        other: `{ const s = document.createElement('script'); s.src = 'http://stranger.example:${port}/'; document.head.append(s); }`,
        handler: `{ const b = document.createElement('b'); b.setAttribute('onclick', 'window.ran = 1'); document.body.append(b); b.click(); }`,
        timer: `setTimeout('window.ran = 1')`,
        eval: `(0, eval)('window.ran = 1')`,
        policy: `trustedTypes.createPolicy('mine', { createHTML: (text) => text })`,
      };
      tries['style'] =
        `{ const s = document.createElement('style'); s.textContent = 'body { display: none }'; document.head.append(s); }`;
      // In a timer, since what the debugger itself evaluates may evaluate text.
      for (const [name, script] of Object.entries(tries)) {
        await page.evaluate(
          `new Promise((done) => setTimeout(() => { try { ${script} } catch {} setTimeout(done, 50); }))`,
        );
        expect([name, await page.evaluate('window.ran')]).toEqual([name, undefined]);
      }
      expect(await page.locator('main h1').isVisible()).toBe(true);
      const reached = `fetch('http://stranger.example:${port}/').then(() => 'reached', () => 'blocked')`;
      expect(await page.evaluate(reached)).toBe('blocked');
    });
  });
});
