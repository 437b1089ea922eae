import { generateKeyPairSync, randomBytes, sign, createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import jsonwebtoken from 'jsonwebtoken';
import { exitCodes } from '../../src/cli/exit-codes.ts';
import { runHere } from '../support/run-here.ts';
import { runPostern } from '../support/run-postern.ts';

const folder = mkdtempSync(join(tmpdir(), 'postern-inspect-'));
afterAll(() => rmSync(folder, { recursive: true }));

const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const { kty, crv, x, y } = publicKey.export({ format: 'jwk' });
const kid = createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url');
const keySet = JSON.stringify({ keys: [{ kty, crv, x, y, kid, alg: 'ES256', use: 'sig' }] });
const keySetFile = join(folder, 'jwks.json');
writeFileSync(keySetFile, keySet);
const secret = randomBytes(32).toString('hex');
const secretFile = join(folder, 'secret');
writeFileSync(secretFile, `${secret}\n`);

const nowSeconds = Math.floor(Date.now() / 1000);
const claims = {
  iss: 'https://auth.example',
  sub: 'user-1',
  aud: 'api',
  exp: nowSeconds + 300,
  iat: nowSeconds - 300,
  jti: 'jti-1',
  sid: 'sid-1',
  client_id: 'postern',
  roles: [],
};

function es256(changes: Readonly<Record<string, unknown>> = {}): string {
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
  const text = `${encode({ alg: 'ES256', kid, typ: 'at+jwt' })}.${encode({ ...claims, ...changes })}`;
  return `${text}.${sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

function withForgedSubject(token: string): string {
  const [header = '', , signature = ''] = token.split('.');
  return `${header}.${es256({ sub: 'admin' }).split('.')[1] ?? ''}.${signature}`;
}

const inspect = (words: readonly string[], stdin?: string) =>
  runHere(['token', 'inspect', ...words], stdin === undefined ? {} : { stdin });

describe('a good token', () => {
  test('is explained in words, with the signature checked', async () => {
    const { exitCode, stdout, stderr } = await inspect([es256(), '--jwks', keySetFile]);
    expect({ exitCode, stderr }).toEqual({ exitCode: exitCodes.ok, stderr: '' });
    expect(stdout).toMatch(/^ {2}alg {2}ES256$/m);
    expect(stdout).toMatch(/^ {2}sub {8}user-1$/m);
    expect(stdout).toMatch(/exp {8}\d+ {2}\(.*\b4 minutes, .*Z\)$/m);
    expect(stdout).toMatch(/iat {8}\d+ {2}\(.*\b5 minutes ago, .*Z\)$/m);
    expect(stdout).toMatch(/^Signature\n {2}valid: /m);
    expect(stdout).toMatch(/^Verdict: valid, unless/m);
  });

  test('says who the service account is, and who acts for the subject', async () => {
    const act = { sub: 'id-of-orders', name: 'orders', act: { sub: 'id-of-web' } };
    const { stdout } = await inspect([es256({ name: 'billing', act }), '--jwks', keySetFile]);
    expect(stdout).toMatch(/^ {2}name {7}billing$/m);
    expect(stdout).toContain(`act        ${JSON.stringify(act)}`);
    expect(stdout).toMatch(
      /^Notes\n {2}acting for the subject: orders \(id-of-orders\), called by id-of-web$/m,
    );
    expect(stdout).toMatch(/^Verdict: valid, unless/m);
    expect((await inspect([es256(), '--jwks', keySetFile])).stdout).not.toContain('acting for');
  });

  test.each([
    ['in a pipe', []],
    ['as -', ['-']],
  ])('may come %s, without its newline', async (_name, words) => {
    const { exitCode } = await inspect([...words, '--jwks', keySetFile], `${es256()}\n`);
    expect(exitCode).toBe(exitCodes.ok);
  });

  test('may come from PowerShell, with a key set that Notepad saved', async () => {
    writeFileSync(join(folder, 'saved.json'), `\ufeff${readFileSync(keySetFile, 'utf8')}\r\n`);
    const words = ['--jwks', join(folder, 'saved.json')];
    const { exitCode } = await inspect(words, `\ufeff${es256()}\n\r\n`);
    expect(exitCode).toBe(exitCodes.ok);
    writeFileSync(join(folder, 'saved'), Buffer.from(`\ufeff${es256()}\r\n`, 'utf16le'));
    expect((await inspect(['--file', join(folder, 'saved'), ...words])).exitCode).toBe(exitCodes.ok);
  });

  test('may come from a file', async () => {
    writeFileSync(join(folder, 'token'), `${es256()}\n`);
    const { exitCode } = await inspect(['--file', join(folder, 'token'), '--jwks', keySetFile]);
    expect(exitCode).toBe(exitCodes.ok);
  });

  test('is one JSON document with --json', async () => {
    const { exitCode, stdout } = await inspect([es256(), '--jwks', keySetFile, '--json']);
    expect(exitCode).toBe(exitCodes.ok);
    expect(stdout.trimEnd()).not.toContain('\n');
    expect(JSON.parse(stdout)).toMatchObject({
      refused: false,
      header: { alg: 'ES256', kid, typ: 'at+jwt' },
      claims,
      times: { exp: expect.stringMatching(/\b4 minutes/) as unknown },
      signature: { verdict: 'valid' },
      problems: [],
    });
  });

  test.each([
    ['a file', ['--secret-file', secretFile], ''],
    ['standard input', ['--secret-stdin'], `${secret}\n`],
    ['a pipe of PowerShell', ['--secret-stdin'], `\ufeff${secret}\r\n`],
  ])('of HS256 is checked with the secret in %s', async (_name, words, stdin) => {
    const { iss, sub, aud, exp, iat } = claims;
    const token = jsonwebtoken.sign({ iss, sub, aud, exp, iat }, secret);
    const { exitCode, stdout } = await inspect([token, ...words], stdin);
    expect(stdout).toMatch(/^Verdict: valid/m);
    expect(exitCode).toBe(exitCodes.ok);
  });

  test('of an earlier login is judged by the rules for such tokens', async () => {
    const supabase = { sub: '1', iss: 'https://p.supabase.co/auth/v1', aud: 'authenticated' };
    const token = jsonwebtoken.sign(supabase, secret, { expiresIn: 300, keyid: 'k' });
    const words = ['--legacy', '--secret-file', secretFile];
    const good = await inspect([token, ...words, '--issuer', supabase.iss, '--audience', 'authenticated']);
    expect(good.stdout).toMatch(/^Verdict: valid/m);
    expect(good.stdout).toContain('earlier login');
    const other = await inspect([token, ...words, '--subject', 'id,user_id']);
    expect(other.exitCode).toBe(exitCodes.tokenRefused);
    expect(other.stdout).toContain('POSTERN_LEGACY_HS256_SUBJECT');
    expect((await inspect([token, '--secret-file', secretFile])).stdout).toContain('--legacy');
  });

  test.each([
    [['--subject', 'sub'], /Add --legacy/],
    [['--legacy', '--subject', 'sub,exp'], /must not name iss, aud, exp/],
  ])('with %j is a wrong use', async (words, expected) => {
    const { exitCode, stderr } = await inspect([es256(), ...words]);
    expect(exitCode).toBe(exitCodes.wrongUse);
    expect(stderr).toMatch(expected);
  });

  test('without keys is not called valid', async () => {
    const { exitCode, stdout } = await inspect([es256()]);
    expect(exitCode).toBe(exitCodes.ok);
    expect(stdout).toMatch(/^Verdict: .*NOT CHECKED$/m);
  });
});

describe('a bad token', () => {
  test.each([
    ['expired', es256({ exp: nowSeconds - 3 * 86_400 }), [], 'TOKEN_EXPIRED', /\(.*\b3 days ago, /],
    ['forged', withForgedSubject(es256()), [], 'TOKEN_SIGNATURE_INVALID', /^ {2}invalid: /m],
    ['of another issuer', es256(), ['--issuer', 'https://other.example'], 'TOKEN_CLAIMS_INVALID', /\biss\b/],
    [
      'for another audience',
      es256(),
      ['--audience', 'web', '--audience', 'tv'],
      'TOKEN_CLAIMS_INVALID',
      /\baud\b/,
    ],
    ['malformed', 'junk', [], 'TOKEN_MALFORMED', /not readable/],
    ['a refresh token', 'prt_abc', [], 'TOKEN_MALFORMED', /refresh token/],
  ])('%s is refused with its reason', async (_name, token, words, reason, expected) => {
    const { exitCode, stdout, stderr } = await inspect([token, '--jwks', keySetFile, ...words]);
    expect(exitCode).toBe(exitCodes.tokenRefused);
    expect(stdout).toContain(`Verdict: refused, ${reason}`);
    expect(stdout).toMatch(expected);
    expect(stderr).toContain(`the token would be refused: ${reason}`);
    // Standard error may be kept in a log; the token and its claims must not (T25).
    expect(stderr).not.toContain(token);
    expect(stderr).not.toContain('user-1');
  });

  test('is also refused when the given keys cannot verify it', async () => {
    expect((await inspect([es256(), '--secret-file', secretFile])).exitCode).toBe(exitCodes.tokenRefused);
    const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${es256().split('.')[1] ?? ''}.x`;
    const { exitCode, stdout } = await inspect([unsigned, '--jwks', keySetFile]);
    expect(exitCode).toBe(exitCodes.tokenRefused);
    expect(stdout).toContain('TOKEN_ALG_NOT_ALLOWED');
  });

  test('cannot write control characters to the terminal through its claims', async () => {
    const hostile = es256({ sub: '\u001b]0;owned\u0007\u009b31m\u202ereversed\r\nVerdict: valid' });
    for (const words of [[], ['--json']]) {
      const { stdout } = await inspect([hostile, '--jwks', keySetFile, ...words]);
      // eslint-disable-next-line no-control-regex -- these must not reach the terminal
      expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
      expect(stdout).not.toMatch(/^Verdict: valid/m);
    }
  });
});

describe('wrong use', () => {
  test.each([
    ['the token twice', ['x', '--file', 'y'], exitCodes.wrongUse, /given twice/],
    ['the secret twice', ['x', '--secret-file', 'y', '--secret-stdin'], exitCodes.wrongUse, /given twice/],
    ['token and secret on one input', ['--secret-stdin'], exitCodes.wrongUse, /standard input/],
    ['nothing on standard input', [], exitCodes.wrongUse, /^postern: standard input is empty\n/],
    ['nothing behind -', ['-'], exitCodes.wrongUse, /^postern: standard input is empty\n/],
    ['an empty token', [''], exitCodes.wrongUse, /^postern: the token is empty\n/],
    ['an empty token file', ['--file', '/dev/null'], exitCodes.wrongUse, /^postern: the file is empty\n/],
    ['no such token file', ['--file', '/no/such'], exitCodes.refused, /token cannot be read.*ENOENT/],
    ['no such key set', ['x', '--jwks', '/no/such'], exitCodes.refused, /key set cannot be read.*ENOENT/],
    ['a key set that is not JSON', ['x', '--jwks', secretFile], exitCodes.refused, /not JSON/],
    ['an empty secret', ['x', '--secret-stdin'], exitCodes.wrongUse, /secret.*empty/],
  ])('%s', async (_name, words, code, expected) => {
    const { exitCode, stdout, stderr } = await inspect(words);
    expect({ exitCode, stdout }).toEqual({ exitCode: code, stdout: '' });
    expect(stderr).toMatch(expected);
    expect(stderr).not.toContain(secret);
  });
});

// The causes of failed downloads are errors of Node's own realm, which Jest's is not: those run as processes.
describe('a key set from the network', () => {
  const requests: string[] = [];
  const answers: Readonly<Record<string, (response: ServerResponse) => void>> = {
    '/jwks.json': (response) => response.end(keySet),
    '/moved': (response) => response.writeHead(302, { location: '/jwks.json' }).end(),
    '/huge': (response) => response.end(' '.repeat(1024 * 1024 + 1)),
    '/stalled': (response) => response.write('{"keys":['),
  };
  const server = createServer((request: IncomingMessage, response) => {
    request.on('data', (chunk: Buffer) => requests.push(chunk.toString()));
    requests.push(`${request.method ?? ''} ${request.url ?? ''} ${request.rawHeaders.join(' ')}`);
    const answer = answers[request.url ?? ''];
    if (answer === undefined) response.writeHead(404).end();
    else answer(response);
  });
  let origin = '';
  beforeAll(async () => {
    await once(server.listen(0, '127.0.0.1'), 'listening');
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(async () => {
    await once(server.close(), 'close');
  });

  test('is fetched once, and the token is not sent', async () => {
    const token = es256();
    const { exitCode, stderr } = await inspect([token, '--jwks', `${origin}/jwks.json`]);
    expect({ exitCode, stderr }).toEqual({ exitCode: exitCodes.ok, stderr: '' });
    expect(requests).toEqual([expect.stringMatching(/^GET \/jwks\.json /)]);
    for (const part of token.split('.')) expect(requests[0]).not.toContain(part);
  });

  test.each([
    ['not there', '/none', exitCodes.unavailable, /404/],
    ['moved', '/moved', exitCodes.unavailable, /redirect/],
    ['beyond 1 MiB', '/huge', exitCodes.refused, /1024 KiB/],
  ])('that is %s is refused', async (_name, path, code, expected) => {
    const words = ['token', 'inspect', es256(), '--jwks', `${origin}${path}`];
    const { exitCode, stdout, stderr } = await runPostern(words);
    expect({ exitCode, stdout }).toEqual({ exitCode: code, stdout: '' });
    expect(stderr).toMatch(expected);
  });

  test('N17 that stalls is abandoned in time, whatever is garbage collected', async () => {
    const collecting = new URL('../support/collecting.mjs', import.meta.url).href;
    const { exitCode, stderr } = await runPostern(
      ['token', 'inspect', es256(), '--jwks', `${origin}/stalled`],
      { nodeOptions: ['--expose-gc', '--import', collecting] },
    );
    expect(exitCode).toBe(exitCodes.unavailable);
    expect(stderr).toContain('5 seconds');
  });

  test('N10 in plaintext from another machine is accepted only with --insecure', async () => {
    // On Linux this address is the same machine, but it is not a loopback address.
    const address = `${origin.replace('127.0.0.1', '0.0.0.0')}/jwks.json`;
    const refused = await inspect([es256(), '--jwks', address]);
    expect({ exitCode: refused.exitCode, stdout: refused.stdout }).toEqual({
      exitCode: exitCodes.wrongUse,
      stdout: '',
    });
    expect(refused.stderr).toMatch(/^postern: .*without TLS.*\n.*--insecure/);
    expect((await inspect([es256(), '--jwks', address, '--insecure'])).exitCode).toBe(exitCodes.ok);
  });

  test.each(['http://', 'http://[bad', 'https://host:port/'])(
    'from %s, which is no address, is wrong use',
    async (address) => {
      const { exitCode, stdout, stderr } = await inspect([es256(), '--jwks', address]);
      expect({ exitCode, stdout }).toEqual({ exitCode: exitCodes.wrongUse, stdout: '' });
      expect(stderr).toMatch(/^postern: .*--jwks .*\n.*HOST:PORT/);
    },
  );

  test('from a port where nobody listens is unavailable', async () => {
    const closed = createServer();
    await once(closed.listen(0, '127.0.0.1'), 'listening');
    const { port } = closed.address() as AddressInfo;
    await once(closed.close(), 'close');
    const words = ['token', 'inspect', es256(), '--jwks', `http://127.0.0.1:${port}/jwks.json`];
    const { exitCode, stderr } = await runPostern(words);
    expect(exitCode).toBe(exitCodes.unavailable);
    expect(stderr).toContain('ECONNREFUSED');
  });
});
