import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import type { AddressInfo } from 'node:net';

import { Metadata } from '@grpc/grpc-js';
import { describe, expect, test } from '@jest/globals';
import { ROOT_CONTEXT } from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';

import { csvRows } from '../../src/cli/import/csv-rows.ts';
import { jsonRows } from '../../src/cli/import/json-rows.ts';
import { textLines } from '../../src/cli/import/text-lines.ts';
import { bearerTokenOf } from '../../src/client/bearer-token.ts';
import { clientNamesOf, readClientName } from '../../src/net/certificate-identity.ts';
import { canonicalEmail } from '../../src/features/users/email.ts';
import { forwardedIp } from '../../src/net/forwarded-ip.ts';
import { notedUserAgent } from '../../src/domain/operation-call.ts';
import { isUuid, requireValid, text } from '../../src/domain/validation.ts';
import { parseListenAddress } from '../../src/net/listen-address.ts';
import { parseNetwork, normaliseIp } from '../../src/net/cidr.ts';
import { PageCursors } from '../../src/domain/paging.ts';
import { checkNewPassword } from '../../src/passwords/password-policy.ts';
import { parseByteSize, parseCount, parseDurationMs } from '../../src/config/quantities.ts';
import { isScannableSecret } from '../../src/crypto/api-secret.ts';
import { userRoles } from '../../src/domain/roles.ts';
import { bearerToken } from '../../src/rpc/bearer-token.ts';
import { headerText } from '../../src/services/ext-authz/header-encoding.ts';
import { requestHeaders } from '../../src/services/ext-authz/request-headers.ts';
import { routePolicy } from '../../src/services/ext-authz/route-policy.ts';
import { peerIp } from '../../src/net/peer-address.ts';
import { requestIdOf } from '../../src/rpc/call-context.ts';
import { presentableText } from '../../src/rpc/rejection-status.ts';
import { parseCursor } from '../../src/trust/trust-cursor.ts';
import { HttpServer } from '../../src/http/http-server.ts';
import { publicationOf } from '../../src/http/oauth/metadata.ts';
import { auditFilter } from '../../src/features/audit/list-audit-events.ts';
import { formats } from '../../src/passwords/formats/format-table.ts';
import { storedFormOf } from '../../src/passwords/formats/stored-form.ts';
import { validateImportedHash } from '../../src/passwords/validate-imported-hash.ts';
import { certificateFaults } from '../../src/net/tls/certificate-files.ts';
import { checkFormat } from '../../src/tokens/verify/token-format.ts';
import { inspectToken } from '../../src/tokens/verify/inspect-token.ts';
import { parseStrictJson } from '../../src/tokens/verify/strict-json.ts';
import { readKeySet } from '../../src/trust/trusted-keys.ts';

/** The longest text that a message of a caller can hold, and a quarter of it. */
const [LONG, QUARTER] = [64 * 1024, 16 * 1024];
/** Work that takes no longer than this for a whole message is no attack. */
const NO_TIME_MS = 15;
/** Four times the text may take four times as long, and more on a machine under load; quadratic work takes 16 times. */
const MAX_GROWTH = 10;

/** CPU time of this process, which other processes hardly change; the least of several tries. */
async function cpuMs(work: () => unknown, tries = 4): Promise<number> {
  let min = Infinity;
  for (let left = tries; left > 0; left -= 1) {
    const before = process.cpuUsage();
    await work();
    const { user, system } = process.cpuUsage(before);
    min = Math.min(min, (user + system) / 1_000);
  }
  return min;
}

const refused = (work: () => unknown): unknown => {
  try {
    return work();
  } catch (error) {
    return error;
  }
};
const fill = (unit: string, length: number) => unit.repeat(Math.ceil(length / unit.length)).slice(0, length);
/** Texts with a valid start, a long middle and an invalid end, which make a regular expression backtrack. */
const around = (begin: string, unit: string, end: string) => (length: number) =>
  begin + fill(unit, length) + end;

async function drain(rows: AsyncIterable<unknown>): Promise<void> {
  for await (const row of rows) if (row === undefined) throw new Error('no row');
}
async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  await Promise.resolve();
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
const cursors = new PageCursors(() => randomBytes(32));
const anyAudit = { actor: '', target: '', action: '', outcome: '', since: undefined, until: undefined };
const newPassword = {
  field: 'p',
  minLength: 12,
  context: ['ada.b-c_d.e.f.g.h@example.com'],
  isCommon: () => false,
};
const traces = new W3CTraceContextPropagator();
const traced = (name: string, value: string) => {
  const get = (_: unknown, key: string) => (key === name ? [value] : undefined);
  return traces.extract(ROOT_CONTEXT, new Metadata(), { get, keys: () => [name] });
};

type Readers = Readonly<Record<string, (text: string) => unknown>>;
type Texts = Readonly<Record<string, (length: number) => string>>;

/** Texts that are one line or one header value for every reader. */
const plain: Texts = {
  spaces: around('a', ' ', 'b'),
  'spaces and commas': around('', ' ,', 'x'),
  tabs: around('a', '\t', 'b'),
  dots: around('a', '.', '!'),
  letters: around('', 'a', '!'),
  digits: around('', '1', 'x'),
  hyphens: around('a', '-', '!'),
  'letters and dots': around('', 'a.', '!'),
  slashes: around('1', '/', '!'),
  colons: around('1', ':1', '!'),
  brackets: around('', '[', ':1'),
  percent: around('', '%', '\n'),
  quotes: around('"', '"', 'x'),
  backslashes: around('"', '\\', 'x'),
  'equals signs': around('Bearer a', '=', '!'),
};

const readers: Readers = {
  'bearer token (gRPC, Envoy)': (value) => refused(() => bearerToken([value])),
  'bearer token (client)': (value) => refused(() => bearerTokenOf([value])),
  'request id': (value) => requestIdOf(value),
  'access token': (value) => checkFormat(value),
  'access token, inspected': (value) => inspectToken(value, { nowMs: 0 }),
  'e-mail': (value) => canonicalEmail(value),
  'new password': (value) => checkNewPassword(value, newPassword),
  'forwarded address': (value) => forwardedIp(value),
  'user agent': (value) => notedUserAgent(value),
  'peer address': (value) => [normaliseIp(value), peerIp(value)],
  CIDR: (value) => parseNetwork(value),
  'duration, size, count': (value) => [parseDurationMs(value), parseByteSize(value), parseCount(value)],
  'listen address': (value) => parseListenAddress(value),
  UUID: (value) => isUuid(value),
  'page token': (value) => cursors.read({}, value),
  'watch cursor': (value) => refused(() => parseCursor(value)),
  'secret of an account': (value) => isScannableSecret('psk_', value),
  roles: (value) => [userRoles([value], 'roles'), userRoles(value.split(' '), 'roles')],
  'text field': (value) =>
    refused(() => requireValid({ name: text({ minBytes: 1, maxBytes: LONG * 2 }) }, { name: value })),
  'audit filter': (value) => [
    refused(() => auditFilter({ ...anyAudit, actor: value })),
    refused(() => auditFilter({ ...anyAudit, target: value })),
  ],
  'certificate names': (value) => [clientNamesOf(value), readClientName(value)],
  'imported hash': (value) => validateImportedHash(value),
  'CSV line': (value) => drain(csvRows(textLines(inPieces(Buffer.from(`email,roles\n${value}`), 4_096)))),
  'JSON line': (value) => drain(jsonRows(textLines(inPieces(Buffer.from(value), 4_096)))),
  'file in pieces of one byte': (value) => drain(textLines(inPieces(Buffer.from(value), 1))),
  'strict JSON': (value) => parseStrictJson(value),
  'key set': (value) => readKeySet(value).catch((error: unknown) => error),
  PEM: (value) =>
    certificateFaults({ cert: value, key: null, ca: value }, { cert: 'cert', key: 'key', ca: 'ca' }),
  'Envoy route': (value) => refused(() => routePolicy({ roles_any: value }, [])),
  'Envoy headers': (value) =>
    requestHeaders({ path: value, headers: { [value]: value, authorization: value }, headerMap: undefined }),
  'identity header': (value) => refused(() => headerText(value)),
  'text of a status': (value) => presentableText(value),
  'trace context': (value) => [traced('traceparent', value), traced('tracestate', value)],
};

/** Texts that a single reader parses far into. */
const own: readonly (readonly [
  reader: keyof typeof readers,
  name: string,
  make: (length: number) => string,
])[] = [
  ['bearer token (gRPC, Envoy)', 'a scheme and spaces', around('bearer', ' ', 'x')],
  ['bearer token (client)', 'a scheme and spaces', around('bearer', ' ', '')],
  ['strict JSON', 'open lists', around('{"a":', '[', '')],
  ['strict JSON', 'escapes', around('{"', '\\u0041', '')],
  [
    'strict JSON',
    'members',
    (length) => `{${Array.from({ length: length / 8 }, (_, at) => `"${at}":1`).join()}}`,
  ],
  ['strict JSON', 'a long number', around('{"a":', '1', 'e')],
  ['strict JSON', 'white space', around('{', ' \t\r\n', '')],
  ['key set', 'entries that are no keys', around('{"keys":[', '0,', '0]}')],
  ['key set', 'white space', around('{"keys":[', ' ', ']}')],
  ['PEM', 'beginnings without an end', around('', '-----BEGIN CERTIFICATE-----', '')],
  ['PEM', 'ends without a beginning', around('', '-----END CERTIFICATE-----', '')],
  ['certificate names', 'names', around('', 'DNS:a, ', 'x')],
  ['certificate names', 'open quotes', around('', ', URI:"\\"', '')],
  ['certificate names', 'kinds', around(', ', 'A ', '"')],
  ['new password', 'digits around a letter', around('1'.repeat(500), 'a1', '')],
  ['new password', 'the longest text of other characters than letters', () => `${'1'.repeat(1_020)}a111`],
  ['CSV line', 'quotes in quotes', around('"', '""', '')],
  ['CSV line', 'many cells', around('', ',', '')],
  ['CSV line', 'roles', around('a@b.example,"', 'a ;', '"')],
  ['Envoy route', 'roles', around('', 'a,', '')],
  ['identity header', 'characters outside of ASCII', around('', 'ä', '')],
  ['trace context', 'states', around('', 'a=b,', '')],
  ...formats.flatMap((format): [string, string, (length: number) => string][] =>
    ['1', 'A', '$', ','].map((unit) => [
      'imported hash',
      `${format.name} of ${unit}`,
      around(format.exampleHash(`$${format.name}$`).slice(0, 12), unit, '!'),
    ]),
  ),
];

describe('N16 the time for untrusted text grows no faster than its length', () => {
  const cases = [
    ...Object.keys(readers).flatMap((reader) =>
      Object.entries(plain).map(([name, make]) => [reader, name, make] as const),
    ),
    ...own,
  ];
  test.each(cases)('%s: %s', async (reader, _name, make) => {
    const read = readers[reader];
    if (!read) throw new Error(`no reader ${reader}`);
    const [long, quarter] = [make(LONG), make(QUARTER)];
    let growth = Infinity;
    // Noise makes a measurement longer and never shorter, so that one good measurement is proof.
    for (let attempt = 0; attempt < 3 && growth > MAX_GROWTH; attempt += 1) {
      const longMs = await cpuMs(() => read(long));
      if (longMs <= NO_TIME_MS) return;
      growth = longMs / (await cpuMs(() => read(quarter)));
    }
    expect(growth).toBeLessThanOrEqual(MAX_GROWTH);
  });

  // Stored hashes have a length limit; these texts exceed it, in case the limit is raised.
  test.each(
    formats.flatMap((format) => ['1', 'A', '$', ','].map((unit) => [format.name, unit, format] as const)),
  )('hash format %s, whatever its limit: %s', async (name, unit, format) => {
    const make = around(format.exampleHash(`$${name}$`).slice(0, 12), unit, '!');
    const long = make(LONG);
    expect(await cpuMs(() => format.read(long))).toBeLessThan(NO_TIME_MS);
    for (const start of [
      '',
      '{CRYPT}$',
      'e1NTSEF9',
      '$fbscrypt$v=1,n=1,r=1,p=1,ss=',
      '$firescrypt$ln=1,r=1,p=1$',
      'AQAAAAEA',
    ]) {
      expect(await cpuMs(() => storedFormOf(start + long))).toBeLessThan(NO_TIME_MS);
    }
  });
});

describe('N16 a header of an HTTP request', () => {
  const keySet = { json: '{"keys":[]}', etag: '"tag"', algorithms: [], maxAgeSeconds: 600 };

  test.each([
    ['spaces in If-None-Match', `a${' '.repeat(7_900)}b`],
    ['spaces and commas', `a${' ,'.repeat(3_950)}b`],
    ['tags', fill('"x", ', 7_900)],
  ])('%s costs as much as another value of its length', async (_name, value) => {
    const facts = {
      metrics: () => '',
      unreadyReasons: () => [],
      verificationFaults: () => [],
      publication: publicationOf('http://127.0.0.1', { oauth: false, passwordDoor: false }, () => keySet),
    };
    const server = new HttpServer(facts, null);
    const address = await server.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 });
    const { port } = address as unknown as AddressInfo;
    const ask = (tag: string) =>
      new Promise<number | undefined>((resolve, reject) => {
        const sent = request({
          port,
          host: '127.0.0.1',
          path: '/.well-known/jwks.json',
          headers: { 'if-none-match': tag },
        });
        sent.on('response', (response) => {
          response.resume();
          response.on('end', () => resolve(response.statusCode));
        });
        sent.on('error', reject);
        sent.end();
      });
    try {
      const harmless = 'a'.repeat(value.length);
      let dearness = Infinity;
      for (let attempt = 0; attempt < 3 && dearness > MAX_GROWTH; attempt += 1)
        dearness = (await cpuMs(() => ask(value), 8)) / (await cpuMs(() => ask(harmless), 8));
      expect(dearness).toBeLessThanOrEqual(MAX_GROWTH);
      expect([
        await ask(value),
        await ask(`"other", ${keySet.etag}`),
        await ask(`W/${keySet.etag}`),
        await ask('*'),
      ]).toEqual([200, 304, 304, 304]);
    } finally {
      await server.stop();
    }
  });
});
