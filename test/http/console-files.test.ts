import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gunzipSync } from 'node:zlib';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { exitCodes } from '../../src/cli/exit-codes.ts';
import { explainFailure } from '../../src/cli/explain-failure.ts';
import { consolePages } from '../../src/http/console/console-files.ts';
import { anyHost } from '../../src/http/host-check.ts';
import { HttpServer } from '../../src/http/http-server.ts';
import { sendRequest } from '../support/browser-request.ts';

const page = '<!doctype html><script src="app-ABC.js"></script>';
const script = 'export const answer = 42;';
let folder: string;
let server: HttpServer;
let url: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'postern-console-'));
  writeFileSync(join(folder, 'index.html'), page);
  writeFileSync(join(folder, 'app-ABC.js'), script);
  writeFileSync(join(folder, 'NOTICES.txt'), 'notices');
  const content = {
    publication: null,
    unreadyReasons: () => [],
    verificationFaults: () => [],
    metrics: () => '',
  };
  const pages = consolePages(anyHost, pathToFileURL(`${folder}/`));
  server = new HttpServer(content, null, { pages });
  const address = await server.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 });
  url = `http://127.0.0.1:${(address as { port: number }).port}`;
});
afterAll(async () => {
  await server.stop();
  rmSync(folder, { recursive: true });
});

const ask = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
  sendRequest(`${url}${path}`, { headers, method });

test('C10 the page is asked for again each time, and files with a hash in their name never', async () => {
  const index = await ask('/console/');
  expect([index.status, index.text, index.headers['cache-control']]).toEqual([200, page, 'no-cache']);
  expect(index.headers['content-type']).toBe('text/html; charset=utf-8');
  const file = await ask('/console/app-ABC.js?x=1');
  expect([file.status, file.text, file.headers['cache-control']]).toEqual([
    200,
    script,
    'public, max-age=31536000, immutable',
  ]);
  expect(file.headers['content-type']).toBe('text/javascript; charset=utf-8');
});

test('C10 a page that has not changed is not sent again', async () => {
  const { etag = '' } = (await ask('/console/')).headers;
  for (const tag of [etag, etag.slice(2), `"x", ${etag}`, etag.replace(/"$/, '-gzip"')]) {
    const reply = await ask('/console/', { 'if-none-match': tag });
    expect([tag, reply.status, reply.text]).toEqual([tag, 304, '']);
    expect(reply.headers.etag).toBe(etag);
  }
  expect((await ask('/console/', { 'if-none-match': '"x"' })).status).toBe(200);
});

test('C10 HEAD has the headers alone, a range gets the whole, and gzip is for those who take it', async () => {
  const head = await ask('/console/app-ABC.js', {}, 'HEAD');
  expect([head.status, head.text, head.headers['content-length']]).toEqual([
    200,
    '',
    String(Buffer.byteLength(script)),
  ]);
  const range = await ask('/console/app-ABC.js', { range: 'bytes=0-3' });
  expect([range.status, range.text]).toEqual([200, script]);
  for (const accepted of ['gzip', 'br, GZIP;q=0.5', 'deflate,gzip; q=1.0']) {
    const reply = await ask('/console/app-ABC.js', { 'accept-encoding': accepted });
    expect(reply.headers['content-encoding']).toBe('gzip');
    expect(gunzipSync(reply.bytes).toString()).toBe(script);
    expect(reply.headers.vary).toBe('accept-encoding');
  }
  for (const accepted of ['br', 'gzip;q=0', 'gzip;q=0.000', 'x-gzip', ''])
    expect(
      (await ask('/console/app-ABC.js', { 'accept-encoding': accepted })).headers['content-encoding'],
    ).toBeUndefined();
});

test('C10 the path without a slash leads to the page, also below the path of a proxy', async () => {
  const reply = await ask('/console');
  expect([reply.status, reply.headers['cache-control']]).toEqual([308, 'no-store']);
  const { location = '' } = reply.headers;
  expect(new URL(location, 'https://example.com/auth/console').href).toBe(
    'https://example.com/auth/console/',
  );
});

/** `base-uri`, `form-action` and `frame-ancestors` have no part in `default-src`. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types lit-html";

test('C11 every answer below /console forbids what a page does not need, refusals as well', async () => {
  const replies = await Promise.all([
    ask('/console/'),
    ask('/console'),
    ask('/console/app-ABC.js'),
    ask('/console/none'),
    ask('/console/', {}, 'POST'),
    ask('/console//metrics'),
    ask('/console/..%2f..%2fpackage.json'),
    ask('/console/NOTICES.txt'),
  ]);
  expect(replies.map(({ status }) => status)).toEqual([200, 308, 200, 404, 405, 404, 404, 404]);
  for (const { headers } of replies) {
    expect(headers).toMatchObject({
      'content-security-policy': POLICY,
      'permissions-policy': 'publickey-credentials-get=(self), publickey-credentials-create=(self)',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
    });
    expect(headers['strict-transport-security']).toBeUndefined();
    expect(headers['access-control-allow-origin']).toBeUndefined();
  }
  expect(replies[4].headers.allow).toBe('GET, HEAD');
});

test('the refusal of another path names the console, and none of its files', async () => {
  const reply = await ask('/nothing');
  expect([reply.status, reply.text]).toEqual([
    404,
    'nothing is served here; try /livez, /readyz, /readyz/verification, /metrics, /console/\n',
  ]);
  expect((await ask('/consoles')).text).toBe(reply.text);
});

test('a console that was not built ends the start, and says what to do', () => {
  const missing = pathToFileURL(join(folder, 'missing/'));
  let thrown: unknown;
  try {
    consolePages(anyHost, missing);
  } catch (error) {
    thrown = error;
  }
  expect(explainFailure(thrown)).toEqual({
    exitCode: exitCodes.settings,
    lines: [
      'postern: the files of the console are missing',
      'Run npm run build, or set POSTERN_CONSOLE=off.',
    ],
  });
});
