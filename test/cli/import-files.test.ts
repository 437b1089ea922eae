import { expect, test } from '@jest/globals';
import fc from 'fast-check';

import { csvRows } from '../../src/cli/import/csv-rows.ts';
import type { FileRow } from '../../src/cli/import/file-row.ts';
import { jsonRows } from '../../src/cli/import/json-rows.ts';
import { textLines, type TextLine } from '../../src/cli/import/text-lines.ts';

async function* chunksOf(bytes: Buffer, size = 7): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) {
    await Promise.resolve();
    yield bytes.subarray(at, at + size);
  }
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

const lines = (file: string | Buffer, size?: number): AsyncGenerator<TextLine> =>
  textLines(chunksOf(Buffer.from(file as string), size));
const csv = (file: string | Buffer): Promise<FileRow[]> => collect(csvRows(lines(file)));
const json = (file: string | Buffer): Promise<FileRow[]> => collect(jsonRows(lines(file)));
const unreadable = (rows: readonly FileRow[]) =>
  rows.map((row) => ('unreadable' in row ? [row.line, row.unreadable] : [row.line, 'read']));

const ann = { email: 'ann@example.com', passwordHash: '$2b$x', roles: ['a', 'b'], disabled: true };

test('lines are the same however the file is split into chunks', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.string({ unit: 'grapheme', maxLength: 30 }).map((text) => text.replace(/[\r\n\ufeff]/g, '')),
      ),
      fc.constantFrom('\n', '\r\n'),
      fc.integer({ min: 1, max: 50 }),
      async (texts, end, size) => {
        const file = texts.map((text) => text + end).join('');
        const expected = texts.map((text, index) => ({ line: index + 1, text: text.toWellFormed() }));
        expect(await collect(lines(file, size))).toEqual(expected);
      },
    ),
  );
});

test('a byte order mark, CRLF, empty lines and a last line without a line break are accepted', async () => {
  expect(await csv('\ufeffemail,roles\r\nann@example.com,a b\r\n\r\n  \r\nbob@example.com,')).toMatchObject([
    { line: 2, email: 'ann@example.com', passwordHash: null, roles: ['a', 'b'], disabled: false },
    { line: 5, email: 'bob@example.com', passwordHash: null, roles: [], disabled: false },
  ]);
  expect(await json('\ufeff{"email":"ann@example.com"}\r\n\r\n{"email":"bob@example.com"}')).toMatchObject([
    { line: 1, email: 'ann@example.com', passwordHash: null, roles: [], disabled: false },
    { line: 3, email: 'bob@example.com', passwordHash: null, roles: [], disabled: false },
  ]);
});

test.each([1, 2, 3, 1000])(
  'a file that Windows PowerShell wrote is read, in chunks of %i bytes',
  async (size) => {
    const text = '\ufeffemail,roles\r\nann@bücher.example,a b\r\n\r\nbob@\u{1f511}.example,\r\n';
    const expected = [
      { line: 2, email: 'ann@bücher.example', passwordHash: null, roles: ['a', 'b'], disabled: false },
      { line: 4, email: 'bob@\u{1f511}.example', passwordHash: null, roles: [], disabled: false },
    ];
    const utf16 = Buffer.from(text, 'utf16le');
    expect(await collect(csvRows(lines(utf16, size)))).toMatchObject(expected);
    expect(await collect(csvRows(lines(Buffer.from(utf16).swap16(), size)))).toMatchObject(expected);
  },
);

test.each([
  ['half a character at its end', Buffer.from('fffe7b', 'hex')],
  ['half a pair', Buffer.from('\ufeff{"email":"\ud800"}\n', 'utf16le')],
])('UTF-16 with %s is refused, not repaired', async (_, file) => {
  await expect(json(file)).rejects.toThrow('not well-formed UTF-16');
});

test('files that were put together, each with its mark, and lines with two carriage returns are read', async () => {
  const one = '\ufeff{"email":"ann@example.com"}\r\r\n';
  expect(await json(one + one)).toMatchObject(
    [1, 2].map((line) => ({
      line,
      email: 'ann@example.com',
      passwordHash: null,
      roles: [],
      disabled: false,
    })),
  );
  expect(await csv('email,password_hash\r\r\nann@example.com,$2b$x\r\r\n')).toMatchObject([
    { passwordHash: '$2b$x' },
  ]);
});

test('both formats give the same user; columns may be in any order', async () => {
  const asJson = '{"email":"ann@example.com","password_hash":"$2b$x","roles":["a","b"],"disabled":true}';
  expect(await json(asJson)).toMatchObject([{ line: 1, ...ann }]);
  for (const roles of ['a b', 'a;b', ' a; b ']) {
    expect(
      await csv(`disabled,roles,email,password_hash\nTrue,${roles},ann@example.com,$2b$x`),
    ).toMatchObject([{ line: 2, ...ann }]);
  }
  const quoted = '$argon2id$v=19$m=19456,t=2,p=1$c$d';
  expect(await csv(`email,password_hash\n"ann@example.com","${quoted}"`)).toMatchObject([
    { passwordHash: quoted },
  ]);
});

test('bytes that are not UTF-8 and overlong lines make only their own line invalid', async () => {
  const good = Buffer.from('{"email":"ann@example.com"}\n');
  const bad = Buffer.from([0x7b, 0xff, 0x7d, 0x0a]);
  const huge = Buffer.from(`{"email":"${'x'.repeat(3 * 64 * 1024)}"}\n`);
  const rows = await collect(jsonRows(textLines(chunksOf(Buffer.concat([good, bad, huge, good]), 10_000))));
  expect(unreadable(rows)).toEqual([
    [1, 'read'],
    [2, expect.stringContaining('UTF-8')],
    [3, expect.stringContaining('64 KiB')],
    [4, 'read'],
  ]);
});

test('a malformed CSV line affects neither the next line nor the message', async () => {
  const rows = await csv(
    [
      'email,password_hash,disabled',
      '"ann@example.com,$2b$x,false',
      'hunter2"x,$2b$x,false',
      'ann@example.com,$argon2id$v=19$m=19456,t=2,p=1$c$d,',
      'ann@example.com',
      'ann@example.com,,hunter2',
      'bob@example.com,$2b$x,0',
    ].join('\n'),
  );
  expect(unreadable(rows)).toEqual([
    [2, expect.stringContaining('not closed')],
    [3, expect.stringContaining('double each quote')],
    [4, expect.stringMatching(/ 5 cells.* 3;/)],
    [5, expect.stringMatching(/ 1 cells.* 3;/)],
    [6, expect.stringMatching(/^disabled: /)],
    [7, 'read'],
  ]);
});

test.each([
  ['email,password\n', "line 1: the column 'password' is unknown"],
  ['email;password_hash\n', "line 1: the column 'email;password_hash' is unknown"],
  ['email,email\n', "line 1: the column 'email' appears twice"],
  ['\nroles,disabled\n', "line 2: the column 'email' is missing"],
  [Buffer.from([0xff]), 'line 1: the line is not UTF-8'],
  ['"email\n', 'line 1: a quote is not closed'],
])('the header %j is refused', async (file, expected) => {
  await expect(csv(file)).rejects.toThrow(expected);
});

test.each([
  ['{"email":"hunter2"', 'one JSON object'],
  ['["hunter2"]', 'one JSON object'],
  ['null', 'one JSON object'],
  ['{"email":"a@example.com","email":"b@example.com"}', 'one JSON object'],
  ['{"email":"a@b.example","password":"hunter2"}', "'password' is unknown"],
  ['{"email":"a@b.example","__proto__":{"roles":["hunter2"]}}', "'__proto__' is unknown"],
  ['{"roles":[]}', 'email: '],
  ['{"email":7}', 'email: '],
  ['{"email":"a@b.example","password_hash":false}', 'password_hash: '],
  ['{"email":"a@b.example","roles":"hunter2"}', 'roles: '],
  ['{"email":"a@b.example","roles":[["hunter2"]]}', 'roles: '],
  ['{"email":"a@b.example","disabled":"hunter2"}', 'disabled: '],
])('the line %s is refused without being repeated', async (line, expected) => {
  const [[at, message] = []] = unreadable(await json(`\n${line}\n`));
  expect(at).toBe(2);
  expect(message).toContain(expected);
  expect(message).not.toContain('hunter2');
});
