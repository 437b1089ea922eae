import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { build } from 'esbuild';
import { type Browser, type Page } from 'playwright-core';

import { descriptorSetBase64 } from '../../src/generated/descriptor-set.ts';
import { startTestService, type TestService } from '../support/test-service.ts';
import { startWebBackend, type WebBackend } from '../support/web-backend.ts';
import { launchBrowser } from './launch-browser.ts';
import { describeWith } from './tool.ts';

export interface PageCall {
  readonly url: string;
  readonly descriptors: string;
  readonly protocol: 'json' | 'binary' | 'grpc-web';
  readonly method: 'login' | 'verifyToken';
  readonly message: object;
  readonly token?: string;
}
export interface PageEnd {
  readonly code: string;
  readonly reasons: readonly string[];
  readonly requestId: string | null;
  readonly accessToken: string;
  readonly subject: string;
}
/** In the browser. */
declare function callFromPage(call: PageCall): Promise<PageEnd>;

const email = 'ann@example.com';
const password = 'correct horse battery';
const protocols = ['json', 'binary', 'grpc-web'] as const;

describeWith('chromium', 'in a browser', () => {
  let pages: Server;
  let service: TestService;
  let browser: Browser;
  let userId: string;
  let origin: string;

  beforeAll(async () => {
    const page = fileURLToPath(new URL('browser-page.ts', import.meta.url));
    const bundle = await build({ entryPoints: [page], bundle: true, write: false, format: 'iife' });
    const script = bundle.outputFiles[0]?.text ?? '';
    pages = createServer((request, response) => {
      const { pathname, searchParams } = new URL(request.url ?? '', 'http://pages.example');
      const isScript = pathname === '/page.js';
      response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
      if (isScript) response.end(script);
      else response.end(pathname === '/form' ? formPage(searchParams) : '<script src="/page.js"></script>');
    });
    await new Promise<void>((resolve) => pages.listen(0, '127.0.0.1', resolve));
    origin = `http://127.0.0.1:${(pages.address() as AddressInfo).port}`;
    service = await startTestService({ POSTERN_HTTP_RPC: 'auth', POSTERN_CORS_ORIGINS: origin });
    userId = await service.addUser(email, password, ['editor']);
    browser = await launchBrowser();
  }, 60_000);
  afterAll(async () => {
    await browser.close();
    pages.close();
    await service.stop();
  });

  const formUrl = (target: { action: string; enctype: string }) =>
    `${origin}/form?${new URLSearchParams(target).toString()}`;

  async function onPage<T>(url: string, work: (page: Page) => Promise<T>): Promise<T> {
    const context = await browser.newContext();
    try {
      const page = await context.newPage();
      await page.goto(url);
      return await work(page);
    } finally {
      await context.close();
    }
  }
  const callFrom = (page: Page, call: Omit<PageCall, 'url' | 'descriptors'>) =>
    page.evaluate((given) => callFromPage(given), {
      url: service.httpUrl,
      descriptors: descriptorSetBase64,
      ...call,
    } as PageCall);

  describe('connect-web, on a page of another origin', () => {
    test.each(protocols)('logs in and verifies, and reads refusals: %s', async (protocol) => {
      await onPage(origin, async (page) => {
        const login = await callFrom(page, { protocol, method: 'login', message: { email, password } });
        expect(login).toMatchObject({ code: 'OK', requestId: 'from-a-page' });
        const verified = { protocol, method: 'verifyToken', message: {}, token: login.accessToken } as const;
        expect(await callFrom(page, verified)).toMatchObject({ code: 'OK', subject: userId });
        const message = { email, password: 'wrong horse battery' };
        const refused = await callFrom(page, { protocol, method: 'login', message });
        expect(refused).toEqual({
          code: 'Unauthenticated',
          reasons: ['INVALID_CREDENTIALS'],
          requestId: 'from-a-page',
          accessToken: '',
          subject: '',
        });
      });
    });

    test('H04 a page of an unlisted origin gets no further than the preflight', async () => {
      // The same machine and port by another name: another origin.
      await onPage(origin.replace('127.0.0.1', 'localhost'), async (page) => {
        const message = { email, password };
        const faults: string[] = [];
        page.on('console', (line) => void faults.push(line.text()));
        const before = service.logLines.length;
        for (const protocol of protocols) {
          const end = await callFrom(page, { protocol, method: 'login', message });
          expect(end).toMatchObject({ accessToken: '', requestId: null, reasons: [] });
          expect(end.code).not.toBe('OK');
        }
        expect(faults.join('\n')).toMatch(/preflight request/);
        expect(service.logLines.slice(before).filter((line) => line.includes('from-a-page'))).toEqual([]);
      });
    });

    test('a form of any page gets 415: no login without a preflight', async () => {
      const target = { action: `${service.httpUrl}/postern.v1.AuthService/Login` };
      for (const enctype of ['text/plain', 'application/x-www-form-urlencoded'])
        await onPage(formUrl({ ...target, enctype }), async (page) => {
          const answered = page.waitForResponse(target.action);
          await page.getByRole('button').click();
          expect((await answered).status()).toBe(415);
        });
    });
  });

  describe('the example examples/web-backend', () => {
    let backend: WebBackend;
    let url: string;

    beforeAll(async () => {
      backend = await startWebBackend(service);
      url = `http://localhost:${backend.port}`;
    });
    afterAll(() => backend.stop());

    async function logIn(page: Page, typed = password): Promise<void> {
      const form = page.locator('#login');
      await form.getByLabel('E-mail').fill(email);
      await form.getByLabel('Password').fill(typed);
      await form.getByRole('button', { name: 'Log in', exact: true }).click();
    }

    test('a person logs in, stays logged in after a reload, and logs out', async () => {
      await onPage(url, async (page) => {
        await logIn(page, 'wrong horse battery');
        await page.getByText('The e-mail or the password is wrong.').waitFor();
        await logIn(page);
        await page.getByText(`Logged in as ${userId} with roles [editor]`).waitFor();
        const [cookie] = await page.context().cookies();
        expect(cookie).toMatchObject({
          name: '__Host-refresh',
          httpOnly: true,
          secure: true,
          sameSite: 'Strict',
        });
        expect(await page.evaluate('document.cookie')).toBe('');
        await page.reload();
        await page.getByText('Logged in as').waitFor();
        await page.getByRole('button', { name: 'Log out' }).click();
        await page.getByRole('button', { name: 'Log in', exact: true }).waitFor();
        expect(await page.context().cookies()).toEqual([]);
      });
    });

    test('a page of another site can neither log a visitor in nor out', async () => {
      await onPage(url, async (page) => {
        await logIn(page);
        await page.getByText('Logged in as').waitFor();
        for (const path of ['/login', '/logout']) {
          await page.goto(formUrl({ action: url + path, enctype: 'application/x-www-form-urlencoded' }));
          await page.getByRole('button').click();
          await page.getByText('this request comes from another site').waitFor();
        }
        await page.goto(url);
        await page.getByText('Logged in as').waitFor();
      });
    });

    test('the page works under its content security policy, which stops scripts and markup made of text', async () => {
      await onPage(url, async (page) => {
        const faults: string[] = [];
        page.on('console', (line) => void faults.push(line.text()));
        await logIn(page);
        await page.getByText('Logged in as').waitFor();
        expect(faults.filter((fault) => fault.includes('Content Security Policy'))).toEqual([]);
        for (const sink of [
          `const script = document.createElement('script');
           script.textContent = 'globalThis.injected = true';
           document.body.append(script);`,
          `document.querySelector('#message').innerHTML = '<img src=x onerror="globalThis.injected = true">';`,
        ]) {
          const thrown = await page.evaluate(
            `{ let thrown; try { ${sink} } catch (error) { thrown = error.name } thrown }`,
          );
          expect(thrown).toBe('TypeError');
        }
        expect(await page.evaluate(`'injected' in globalThis`)).toBe(false);
        expect(faults.join('\n')).toMatch(/Trusted/);
      });
    });
  });
});

/** A page with a form that posts a person's credentials to another site. */
function formPage(target: URLSearchParams): string {
  const [action, enctype] = [target.get('action') ?? '', target.get('enctype') ?? ''];
  const fields = Object.entries({ email, password }).map(
    ([name, value]) => `<input name="${name}" value="${value}">`,
  );
  return `<form method="post" action="${action}" enctype="${enctype}">${fields.join('')}<button>Send</button></form>`;
}
