import { request } from 'node:http';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { HttpServer } from '../../src/http/http-server.ts';
import { publicationOf } from '../../src/http/oauth/metadata.ts';

const etag = '"YmFzZTY0dXJsLW9mLWEtc2hhMjU2LWRpZ2VzdC0uLi4"';
const json = '{"keys":[]}';
const keySet = { json, etag, algorithms: ['ES256', 'EdDSA'], maxAgeSeconds: 600 };

interface Reply {
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

let server: HttpServer;
let port: number;
beforeAll(async () => {
  server = new HttpServer(
    {
      metrics: () => '',
      unreadyReasons: () => [],
      verificationFaults: () => [],
      publication: publicationOf(
        'https://auth.example.com/',
        { oauth: false, passwordDoor: false },
        () => keySet,
      ),
    },
    null,
  );
  const address = await server.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 });
  port = (address as { port: number }).port;
});
afterAll(() => server.stop());

function ask(path: string, ifNoneMatch?: string | string[], method = 'GET'): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, method }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => (body += text));
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body }));
    });
    if (ifNoneMatch !== undefined) sent.setHeader('if-none-match', ifNoneMatch);
    sent.on('error', reject);
    sent.end();
  });
}

const documents = ['/.well-known/jwks.json', '/.well-known/openid-configuration'];
const inside = (tag: string, suffix: string) => `${tag.slice(0, -1)}${suffix}"`;

describe.each(documents)('a client that asks for %s again', (path) => {
  test.each<[string, (tag: string) => string | string[]]>([
    ['with the tag', (tag) => tag],
    ['with the tag that nginx weakened when it compressed', (tag) => `W/${tag}`],
    ['with any tag', () => '*'],
    ['with a list', (tag) => `"other", ${tag}`],
    ['with a list of weak tags', (tag) => `W/"other",W/${tag} , "third"`],
    ['with a list that has empty members', (tag) => `, ,${tag},`],
    ['with two headers', (tag) => ['"other"', `W/${tag}`]],
    ['with the tag that Apache marked as compressed', (tag) => inside(tag, '-gzip')],
    ['with the tag that Jetty marked as compressed', (tag) => `W/${inside(tag, '--gzip')}`],
  ])('K11 %s has it already', async (_name, tagged) => {
    const first = await ask(path);
    const tag = String(first.headers['etag']);
    const again = await ask(path, tagged(tag));
    expect([again.status, again.body]).toEqual([304, '']);
    expect([again.headers['etag'], again.headers['cache-control']]).toEqual([tag, 'public, max-age=600']);
    // A length would be that of the kept document (RFC 9110 section 8.6); a cache could cut it to nothing.
    expect(again.headers['content-length']).toBeUndefined();
    expect((await ask(path, tagged(tag), 'HEAD')).status).toBe(304);
  });

  test.each<[string, (tag: string) => string]>([
    ['another tag', () => '"another"'],
    ['a weak tag of another document', () => 'W/"another"'],
    ['the tag without quotes', (tag) => tag.slice(1, -1)],
    ['a part of the tag', (tag) => inside(tag.slice(0, -5), '"').replace(/"+$/, '"')],
    ['the tag with something after it', (tag) => inside(tag, '-x')],
    ['an asterisk in quotes', () => '"*"'],
    ['nothing', () => ''],
  ])('gets it for %s', async (_name, tagged) => {
    const first = await ask(path);
    const again = await ask(path, tagged(String(first.headers['etag'])));
    expect([again.status, again.body]).toEqual([200, first.body]);
  });

  test('gets it by its whole URL, as a proxy asks', async () => {
    const [{ body }, whole] = [await ask(path), await ask(`HTTP://auth.example.com:80${path}?a=b`)];
    expect([whole.status, whole.body]).toEqual([200, body]);
  });

  test('H07 may keep its connection for longer than proxies do', async () => {
    expect((await ask(path)).headers['keep-alive']).toContain('timeout=65');
  });

  test('with HEAD learns its length', async () => {
    const [{ body }, head] = [await ask(path), await ask(path, undefined, 'HEAD')];
    expect([head.status, head.body, head.headers['content-length']]).toEqual([200, '', String(body.length)]);
  });
});

test('discovery names the algorithms of the published keys, and claims to be no OpenID provider', async () => {
  const { body, headers } = await ask('/.well-known/openid-configuration');
  expect(headers['content-type']).toBe('application/json');
  expect(JSON.parse(body)).toEqual({
    issuer: 'https://auth.example.com/',
    jwks_uri: 'https://auth.example.com/.well-known/jwks.json',
    id_token_signing_alg_values_supported: ['ES256', 'EdDSA'],
  });
});
