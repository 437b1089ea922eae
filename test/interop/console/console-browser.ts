import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import { expect } from '@jest/globals';
import type { Browser, BrowserContext, BrowserContextOptions, Locator, Page, Request } from 'playwright-core';

import { TcpProxy } from '../../support/tcp-proxy.mjs';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';
import { type Message, startTestService, type TestService } from '../../support/test-service.ts';
import { launchBrowser } from '../launch-browser.ts';

export const PASSWORD = 'correct horse battery';
/** The rules of axe-core: WCAG 2.2 A and AA, and what it calls good practice. */
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
/** What Chromium says of a blocked script. */
const BROKEN_POLICY = /Content Security Policy|Trusted(?:HTML|Script|Type)/;
/** Buttons that open no dialog and lead away from what the page shows, or make work for the service. */
const NO_DIALOG = /^(?:Search|Show|Clear|Load|Read|Next|Previous|Try|Log)\b/;
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** A user of a test, with PASSWORD. */
export interface Person {
  readonly email: string;
  readonly id: string;
}

/** What a page may do in a test beside what every page may. */
interface Visit extends BrowserContextOptions {
  /** Who logs in first; absent: the administrator of the console; null: nobody. */
  readonly as?: Person | null;
  /**
   * The answers above 399 that the test provokes, as in `409 /postern.v1.AdminService/UpdateUser`; `0` is the status of a
   * request without an answer. Any other fails the test.
   */
  readonly refusals?: RegExp;
  /** Whether only the first tab is watched: the test opens pages of others beside it. */
  readonly isolates?: boolean;
  /** Whether the test itself injects what the content security policy must block. */
  readonly breaksPolicy?: boolean;
}

/** The console of a service of its own, behind a TCP proxy whose port is known before the service starts. */
export class ConsoleBrowser {
  readonly browser: Browser;
  /** Delays, cuts and swallows what pages and the service send. */
  readonly proxy: TcpProxy;
  /** `http://localhost:PORT` */
  readonly origin: string;
  readonly #target: { host: string; port: number };
  readonly #environment: Record<string, string>;
  readonly #database: TestDatabase;
  #service: TestService;
  #admin: Person | null = null;

  private constructor(parts: {
    browser: Browser;
    proxy: TcpProxy;
    origin: string;
    target: { host: string; port: number };
    environment: Record<string, string>;
    service: TestService;
  }) {
    this.browser = parts.browser;
    this.proxy = parts.proxy;
    this.origin = parts.origin;
    this.#target = parts.target;
    this.#environment = parts.environment;
    this.#service = parts.service;
    this.#database = parts.service.database;
  }

  /** Starts the service, the browser, and makes the administrator `admin@example.com`. */
  static async start(environment: Record<string, string> = {}): Promise<ConsoleBrowser> {
    const target = { host: '127.0.0.1', port: 0 };
    const proxy = new TcpProxy(target);
    const origin = `http://localhost:${await proxy.open()}`;
    const settings = {
      POSTERN_HTTP_RPC: 'admin',
      POSTERN_CONSOLE: 'on',
      POSTERN_PASSKEY_ORIGINS: origin,
      ...environment,
    };
    const [browser, database] = await Promise.all([launchBrowser(), createTestDatabase()]);
    const service = await startTestService(settings, database);
    target.port = Number(new URL(service.httpUrl).port);
    const parts = { browser, proxy, origin, target, environment: settings, service };
    const started = new ConsoleBrowser(parts);
    started.#admin = await started.addUser('admin@example.com', ['admin']);
    return started;
  }

  get url(): string {
    return `${this.origin}/console/`;
  }

  get service(): TestService {
    return this.#service;
  }

  get database(): TestDatabase {
    return this.#database;
  }

  get admin(): Person {
    if (!this.#admin) throw new Error('there is no administrator yet');
    return this.#admin;
  }

  async addUser(email: string, roles: string[] = []): Promise<Person> {
    return { email, id: await this.#service.addUser(email, PASSWORD, roles) };
  }

  /** Calls a method over gRPC as the administrator. @param method such as `AdminService/GetUser` @throws on a refusal */
  async call(method: string, request: Message, as = this.admin): Promise<Message> {
    const token = await this.#service.tokenOf(as.email, PASSWORD);
    const { response, reason, message } = await this.#service.call(`postern.v1.${method}`, request, {
      authorization: `Bearer ${token}`,
    });
    if (!response) throw new Error(`${method}: ${reason ?? ''} ${message}`);
    return response;
  }

  /** Stops the service; `startService` starts it again at the same address, with the same database. */
  stopService(): Promise<void> {
    return this.#service.stop();
  }

  async startService(): Promise<void> {
    this.#service = await startTestService(this.#environment, this.#database);
    this.#target.port = Number(new URL(this.#service.httpUrl).port);
  }

  async stop(): Promise<void> {
    await this.browser.close();
    await this.proxy.close();
    await this.#service.stop();
    await this.#database.drop();
  }

  /**
   * Opens the console in a browser profile of its own and logs in. Whatever the work does, the page must not break its
   * content security policy, leave an error uncaught, ask another origin, or be refused without the test having said so.
   */
  async onPage<T>(visit: Visit, work: (page: ConsolePage) => Promise<T>): Promise<T> {
    const { as = this.admin, refusals, isolates = false, breaksPolicy = false, ...options } = visit;
    const context = await this.browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    try {
      context.setDefaultTimeout(20_000);
      const page = await context.newPage();
      const faults = watchFaults(context, {
        isWatched: (other) => !isolates || other === page,
        ...{ origin: this.origin, refusals, breaksPolicy },
      });
      await page.goto(this.url);
      const consolePage = new ConsolePage(page);
      if (as !== null) await consolePage.logIn(as);
      const done = await work(consolePage);
      expect(faults).toEqual([]);
      return done;
    } finally {
      await context.close();
    }
  }
}

/** Collects what no page of the console may do. */
function watchFaults(
  context: BrowserContext,
  {
    isWatched,
    origin,
    refusals,
    breaksPolicy,
  }: {
    isWatched: (page: Page | null) => boolean;
    origin: string;
    refusals: RegExp | undefined;
    breaksPolicy: boolean;
  },
): string[] {
  const faults: string[] = [];
  const isExpected = (refusal: string) => refusals?.test(refusal) ?? false;
  const isOfPage = (request: Request) => isWatched(request.serviceWorker() ? null : request.frame().page());
  const pathOf = (url: string) => new URL(url).pathname;
  context.on('weberror', (error) => {
    if (isWatched(error.page())) faults.push(`uncaught: ${error.error().message}`);
  });
  context.on('console', (line) => {
    const text = line.text();
    if (!isWatched(line.page())) return;
    // The status of a failed request is judged below, with its path.
    if (text.startsWith('Failed to load resource')) return;
    if (breaksPolicy && BROKEN_POLICY.test(text)) return;
    if (line.type() === 'error' || line.type() === 'warning') faults.push(text);
  });
  context.on('request', (request) => {
    const url = request.url();
    const isOther = !url.startsWith('data:') && new URL(url).origin !== origin;
    if (isOther && !breaksPolicy && isOfPage(request)) faults.push(`another origin: ${url}`);
  });
  context.on('response', (response) => {
    const refusal = `${response.status()} ${pathOf(response.url())}`;
    if (response.status() >= 400 && !isExpected(refusal) && isOfPage(response.request()))
      faults.push(refusal);
  });
  context.on('requestfailed', (request) => {
    const refusal = `0 ${pathOf(request.url())}`;
    const reason = request.failure()?.errorText ?? '';
    const isHarmless = reason === 'net::ERR_ABORTED' || (breaksPolicy && reason === 'csp');
    if (!isHarmless && !isExpected(refusal) && isOfPage(request)) faults.push(`${refusal} ${reason}`);
  });
  return faults;
}

/** A page of the console in a browser. */
export class ConsolePage {
  readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  async logIn({ email }: Person): Promise<void> {
    await this.page.getByLabel('E-mail', { exact: true }).fill(email);
    await this.page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await this.button('Log in').click();
    await this.button('Log out').waitFor();
  }

  /** Opens a path such as `#/users?role=admin`, and waits until the page has read what it shows. */
  async open(path: string): Promise<void> {
    await this.page.evaluate(`new Promise((done) => {
      if (location.hash === ${JSON.stringify(path)}) return done();
      addEventListener('hashchange', () => setTimeout(done), { once: true });
      location.hash = ${JSON.stringify(path)};
    })`);
    await this.loaded();
  }

  /** Waits until nothing is being read. */
  async loaded(): Promise<void> {
    await this.page.locator('main h1').waitFor();
    await this.page.locator('.loading').first().waitFor({ state: 'detached' });
  }

  /** Lets the page look after its session now, as it does every five seconds. */
  async checkSession(): Promise<void> {
    await this.page.evaluate(`dispatchEvent(new Event('focus'))`);
  }

  button(name: string | RegExp) {
    return this.page.getByRole('button', { name, exact: true });
  }

  link(name: string | RegExp) {
    return this.page.getByRole('link', { name, exact: true });
  }

  /** Waits until the page says it. */
  async says(text: string | RegExp): Promise<void> {
    await this.page.getByText(text).first().waitFor();
  }

  /** What is wrong with the page for people with a screen reader or bad eyes, by axe-core: WCAG 2.2 A and AA. */
  async accessibilityFaults(rules: readonly string[] = RULES): Promise<readonly string[]> {
    // The first page is drawn only after the answer about its session.
    await this.page.locator('h1').first().waitFor();
    // Evaluated by the debugger, which the content security policy does not concern.
    await this.page.evaluate(axeSource);
    const found = await this.page.evaluate<{ readonly violations: readonly AxeViolation[] }>(
      `axe.run(document, { runOnly: ${JSON.stringify(rules)} })`,
    );
    return found.violations.flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary = '' }) => `${id}: ${html} ${failureSummary.replace(/\s+/g, ' ')}`),
    );
  }

  async expectAccessible(): Promise<void> {
    expect(await this.accessibilityFaults()).toEqual([]);
  }

  /** Opens each dialog of the page in turn, by the first button of each name that opens one. @returns the names */
  async eachDialog(work: (button: Locator, name: string) => Promise<void>): Promise<readonly string[]> {
    const dialog = this.page.getByRole('dialog');
    const names: string[] = [];
    const buttons = await this.page.locator('main button:enabled').all();
    const texts = await Promise.all(buttons.map((button) => button.innerText()));
    for (const [index, button] of buttons.entries()) {
      const name = texts[index]?.trim() ?? '';
      const isFirst = texts.findIndex((text) => text.trim() === name) === index;
      if (!isFirst || NO_DIALOG.test(name) || !(await button.isVisible())) continue;
      await button.click();
      // Others do something at once.
      if (!(await dialog.isVisible())) continue;
      names.push(name);
      await work(button, name);
      await this.page.keyboard.press('Escape');
      await dialog.waitFor({ state: 'detached' });
    }
    return names;
  }

  /** Whether a reader has to scroll sideways. Tables may scroll in a box of their own. */
  scrollsSideways(): Promise<boolean> {
    return this.page.evaluate('document.documentElement.scrollWidth > innerWidth');
  }
}

interface AxeViolation {
  readonly id: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[];
}
