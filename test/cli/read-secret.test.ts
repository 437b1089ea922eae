import { PassThrough } from 'node:stream';
import { describe, expect, test } from '@jest/globals';
import { exitCodes } from '../../src/cli/exit-codes.ts';
import { readSecret } from '../../src/cli/read-secret.ts';

function terminal(typed: string | Buffer | null, isTTY: boolean) {
  const input = Object.assign(new PassThrough(), { isTTY });
  const output = new PassThrough();
  if (typed === null) input.end();
  else if (isTTY) input.write(typed);
  else input.end(typed);
  return { input, output, shown: () => String(output.read() ?? '') };
}

const piped = (bytes: string | Buffer) =>
  readSecret({ name: 'password', fromStdin: true, isNew: true }, terminal(bytes, false));

const failure = (exitCode: number, message: RegExp): unknown =>
  expect.objectContaining({ exitCode, message: expect.stringMatching(message) as unknown });

describe('from standard input', () => {
  test.each([
    ['hunter2', 'hunter2'],
    ['hunter2\n', 'hunter2'],
    ['hunter2\r\n', 'hunter2'],
    ['hunter2\n\n', 'hunter2'],
    ['hunter2\n\r\n', 'hunter2'],
    ['hunter2\r', 'hunter2'],
    ['\n hunter2 \t\n', '\n hunter2 \t'],
    [' two\nlines \n', ' two\nlines '],
    ['pässwörd🔑\n', 'pässwörd🔑'],
    ['hunt\ufeffer2', 'hunt\ufeffer2'],
  ])('%j is %j', async (bytes, secret) => expect((await piped(bytes)).reveal()).toBe(secret));

  test.each([
    [
      'from PowerShell, which puts a mark before it and a line end after it',
      Buffer.from('\ufeffpässwörd\r\n'),
    ],
    [
      'from a file with both, through PowerShell, which adds both again',
      Buffer.from('\ufeff\ufeffpässwörd\n\r\n'),
    ],
    ['from a file that Windows PowerShell wrote', Buffer.from('\ufeffpässwörd\r\n', 'utf16le')],
    ['in UTF-16, the other byte order', Buffer.from('\ufeffpässwörd\n', 'utf16le').swap16()],
  ])('a password %s', async (_name, bytes) => expect((await piped(bytes)).reveal()).toBe('pässwörd'));

  test.each([
    ['only a byte order mark and line ends', Buffer.from('\ufeff\r\n\n'), exitCodes.wrongUse, /is empty/],
    ['UTF-16 with half a character', Buffer.from('fffe70000a', 'hex'), exitCodes.refused, /not UTF-8/],
    ['UTF-16 with half a pair', Buffer.from('\ufeffa\ud800', 'utf16le'), exitCodes.refused, /not UTF-8/],
    ['nothing', '', exitCodes.wrongUse, /is empty/],
    ['one newline', '\n', exitCodes.wrongUse, /is empty/],
    ['not UTF-8', Buffer.from([0x70, 0xff]), exitCodes.refused, /not UTF-8/],
    ['more than 64 KiB', 'x'.repeat(65_537), exitCodes.refused, /64 KiB/],
  ])('%s is refused', async (_name, bytes, exitCode, message) => {
    await expect(piped(bytes)).rejects.toEqual(failure(exitCode, message));
  });
});

describe('at a terminal', () => {
  const ask = (screen: ReturnType<typeof terminal>, isNew = true) =>
    readSecret({ name: 'password', fromStdin: false, isNew }, screen);

  test('a new secret is asked for twice and never shown', async () => {
    const screen = terminal('hunter2\rhunter2\r', true);
    expect((await ask(screen)).reveal()).toBe('hunter2');
    expect(screen.shown()).toBe('Password: \nPassword again: \n');
  });

  test('an existing secret is asked for once', async () => {
    const screen = terminal('hunter2\r', true);
    expect((await ask(screen, false)).reveal()).toBe('hunter2');
    expect(screen.shown()).toBe('Password: \n');
  });

  test('can be edited while it is typed', async () => {
    expect((await ask(terminal('hunt\x7fter2\r', true), false)).reveal()).toBe('hunter2');
  });

  test.each([
    ['two that differ', 'one\rtwo\r', exitCodes.wrongUse, /do not match/],
    ['an empty one', '\r', exitCodes.wrongUse, /is empty/],
    ['Ctrl-C', 'hun\x03', exitCodes.interrupted, /interrupted/],
    ['Ctrl-D', '\x04', exitCodes.wrongUse, /ended before/],
    ['a terminal that goes away', null, exitCodes.wrongUse, /ended before/],
  ])('%s is refused', async (_name, typed, exitCode, message) => {
    await expect(ask(terminal(typed, true))).rejects.toEqual(failure(exitCode, message));
  });
});

test('without a terminal and without --password-stdin nothing is read', async () => {
  const screen = terminal('hunter2\n', false);
  await expect(readSecret({ name: 'password', fromStdin: false, isNew: true }, screen)).rejects.toEqual(
    failure(exitCodes.wrongUse, /no terminal/),
  );
});

test('--password-stdin at a terminal, which would show it, is refused', async () => {
  await expect(
    readSecret({ name: 'password', fromStdin: true, isNew: true }, terminal('hunter2\r', true)),
  ).rejects.toEqual(failure(exitCodes.wrongUse, /is a terminal/));
});
