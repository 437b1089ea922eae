import { spawnSync } from 'node:child_process';
import { chmodSync, lstatSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';

import { GrpcServer } from '../../src/grpc/grpc-server.ts';
import { HttpServer } from '../../src/http/http-server.ts';
import {
  bindWithMode,
  groupId,
  mayGiveTo,
  openSocket,
  type SocketAccess,
  SocketAccessError,
} from '../../src/net/unix-socket.ts';

const isRoot = process.getuid?.() === 0;
/** A group to which this user may give files, and as root one that nobody is in. */
const group = isRoot ? 54_321 : (process.getgid?.() ?? 0);
const folder = mkdtempSync(join(tmpdir(), 'postern-sockets-'));
const stops: (() => Promise<void>)[] = [];
/** Restored after each test; reading it by `process.umask()` is deprecated. */
const umask = process.umask(0o022);
let number = 0;
beforeAll(() => {
  chmodSync(folder, 0o755);
});
afterEach(async () => {
  process.umask(umask);
  for (const stop of stops.splice(0)) await stop();
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A bare server that is closed after the test, however it ends. */
function newServer(): Server {
  const server = createServer();
  stops.push(() => new Promise((resolve) => server.close(() => resolve())));
  return server;
}

const newPath = () => join(folder, `${(number += 1)}.sock`);

async function listenGrpc(path: string, access?: SocketAccess): Promise<void> {
  const server = new GrpcServer({
    services: () => undefined,
    guard: null,
    health: { processReady: [''], verificationReady: [] },
    reflection: false,
    onFinish: () => undefined,
  });
  await server.listen({ kind: 'unix', path }, null, access);
  stops.push(() => server.stop({ delayMs: 0, graceMs: 100 }));
}

async function listenHttp(path: string, access?: SocketAccess): Promise<void> {
  const server = new HttpServer(
    { publication: null, unreadyReasons: () => [], verificationFaults: () => [], metrics: () => '' },
    null,
  );
  await server.listen({ kind: 'unix', path }, access);
  stops.push(() => server.stop());
}

const listeners = { gRPC: listenGrpc, HTTP: listenHttp };
const kinds = ['gRPC', 'HTTP'] as const;

function foundAt(path: string): { mode: string; group: number } {
  const { mode, gid } = lstatSync(path);
  return { mode: (mode & 0o7777).toString(8), group: gid };
}

describe.each(kinds)('N23 the %s socket', (kind) => {
  test.each([0o000, 0o022, 0o077, 0o177])(
    "is its owner's alone under the umask %o, unless set otherwise",
    async (mask) => {
      const path = newPath();
      process.umask(mask);
      await listeners[kind](path);
      expect(foundAt(path).mode).toBe('600');
      expect(process.umask(umask)).toBe(mask);
    },
  );

  test.each([0o000, 0o022, 0o077])('has the mode of the settings under the umask %o', async (mask) => {
    process.umask(mask);
    for (const [mode, found] of [
      [0o600, '600'],
      [0o660, '660'],
      [0o666, '666'],
      [0o770, '770'],
    ] as const) {
      const path = newPath();
      await listeners[kind](path, { mode, group: null });
      expect(foundAt(path).mode).toBe(found);
      await listeners[kind](newPath(), { mode, group });
      expect(foundAt(join(folder, `${number}.sock`))).toEqual({ mode: found, group });
    }
  });

  test('is removed when it is closed, and replaces one that a killed process left', async () => {
    const path = newPath();
    spawnSync(process.execPath, [
      '-e',
      `require('net').createServer().listen(${JSON.stringify(path)}, () => process.exit())`,
    ]);
    process.umask(0);
    await listeners[kind](path, { mode: 0o660, group });
    expect(foundAt(path)).toEqual({ mode: '660', group });
    await stops.pop()?.();
    expect(() => lstatSync(path)).toThrow('ENOENT');
  });

  test.each([
    ['a file', (path: string) => writeFileSync(path, 'precious')],
    ['a folder', (path: string) => mkdirSync(path)],
    ['a link to a file', (path: string) => symlinkSync('/etc/passwd', path)],
    ['a link to nothing', (path: string) => symlinkSync('/nowhere', path)],
  ])('%s at its path stays, and is named', async (_what, make) => {
    const path = newPath();
    make(path);
    const before = lstatSync(path).ino;
    await expect(listeners[kind](path, { mode: 0o660, group })).rejects.toThrow(
      `${path} exists and is not a socket`,
    );
    expect(lstatSync(path).ino).toBe(before);
  });

  test('a folder that does not exist is named', async () => {
    const path = join(newPath(), 'a.sock');
    await expect(listeners[kind](path, { mode: 0o660, group })).rejects.toThrow(
      `the folder of ${path} does not exist`,
    );
  });

  (isRoot ? test : test.skip)(
    'lets the proxy of its group in and keeps others out',
    async () => {
      const connectAs = (gid: number, path: string) =>
        spawnSync(
          process.execPath,
          [
            '-e',
            // The user is changed in there: another one may not be allowed to run this Node.
            `process.setgroups([]); process.setgid(Number(process.argv[2])); process.setuid(65534);
            require('net').connect(process.argv[1]).on('error', (e) => { console.log(e.code); process.exit() }).on('connect', () => { console.log('in'); process.exit() })`,
            path,
            String(gid),
          ],
          { cwd: '/', encoding: 'utf8', timeout: 20_000 },
        );
      const verdict = async (access: SocketAccess | undefined, gid: number) => {
        const path = newPath();
        process.umask(0);
        await listeners[kind](path, access);
        process.umask(umask);
        return connectAs(gid, path).stdout.trim();
      };
      expect(await verdict(undefined, group)).toBe('EACCES');
      expect(await verdict({ mode: 0o660, group }, group)).toBe('in');
      expect(await verdict({ mode: 0o660, group }, 65_534)).toBe('EACCES');
      expect(await verdict({ mode: 0o666, group: null }, 65_534)).toBe('in');
    },
    60_000,
  );
});

test('N23 a socket is never wider than it becomes: until it has its group, only its owner may connect', () => {
  process.umask(0);
  for (const mode of [0o660, 0o666]) {
    const path = newPath();
    const server = newServer();
    bindWithMode({ mode, group }, () => server.listen(path));
    expect(foundAt(path).mode).toBe('600');
    openSocket(path, { mode, group });
    expect(foundAt(path)).toEqual({ mode: mode.toString(8), group });
  }
  const path = newPath();
  const server = newServer();
  bindWithMode({ mode: 0o660, group: null }, () => server.listen(path));
  expect(foundAt(path).mode).toBe('660');
});

test('N23 the mask of the process returns when binding fails', () => {
  process.umask(0o027);
  expect(() =>
    bindWithMode({ mode: 0o600, group: null }, () => {
      throw new Error('no');
    }),
  ).toThrow('no');
  expect(process.umask(umask)).toBe(0o027);
});

test('N23 a file system that does not keep the mode is refused', () => {
  const path = newPath();
  process.umask(0);
  newServer().listen(path);
  expect(() => openSocket(path, { mode: 0o660, group: null })).toThrow(SocketAccessError);
  expect(() => openSocket(path, { mode: 0o660, group: null })).toThrow(/0777, not 0660/);
});

(isRoot ? test : test.skip)(
  'N23 root gives no group to a socket in the folder of somebody else',
  async () => {
    const theirs = join(folder, 'theirs');
    mkdirSync(theirs);
    spawnSync('chown', ['1234', theirs]);
    const path = join(theirs, 'a.sock');
    await expect(listenGrpc(path, { mode: 0o660, group })).rejects.toThrow(/cannot be trusted/);
    await expect(listenHttp(path, { mode: 0o660, group })).rejects.toThrow(/cannot be trusted/);
    expect(() => lstatSync(path)).toThrow('ENOENT');
  },
);

test('N23 a group is a name of this machine or a number', () => {
  expect(groupId('root')).toBe(0);
  expect(groupId('4242')).toBe(4242);
  for (const text of ['nobody-has-this-name', '', 'roo', 'x']) expect(groupId(text)).toBeNull();
  expect(mayGiveTo(process.getgid?.() ?? 0)).toBe(true);
});
