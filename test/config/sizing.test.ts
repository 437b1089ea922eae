import { describe, expect, test } from '@jest/globals';

import { loadSettings } from '../../src/config/load-settings.ts';
import { machineLimits, type MachineReader } from '../../src/config/machine-limits.ts';

const GIB = 2 ** 30;
const MIB = 2 ** 20;
const production = {
  DATABASE_URL: 'postgres://postern@db/postern',
  POSTERN_MASTER_KEY: Buffer.from('0123456789abcdef0123456789abcdeF').toString('base64'),
  POSTERN_ISSUER: 'https://auth.example',
};

function reader(files: Record<string, string>, has: { cores?: number; bytes?: number } = {}): MachineReader {
  return {
    readFile: (path) => {
      const text = files[path];
      if (text === undefined) throw new Error('ENOENT');
      return text;
    },
    cores: () => has.cores ?? 64,
    totalBytes: () => has.bytes ?? 256 * GIB,
    constrainedBytes: () => 0,
  };
}

describe('what the process may use', () => {
  test.each<[string, Record<string, string>, object]>([
    ['a machine without a container', {}, { cores: 64, memoryBytes: 256 * GIB, memoryFrom: 'machine' }],
    [
      'a container with limits (docker run --memory 512m --cpus 1.5)',
      {
        '/proc/self/cgroup': '0::/\n',
        '/sys/fs/cgroup/memory.max': '536870912\n',
        '/sys/fs/cgroup/cpu.max': '150000 100000\n',
      },
      { cores: 2, coresFrom: 'container', memoryBytes: 512 * MIB, memoryFrom: 'container' },
    ],
    [
      'a container without limits',
      {
        '/proc/self/cgroup': '0::/\n',
        '/sys/fs/cgroup/memory.max': 'max\n',
        '/sys/fs/cgroup/cpu.max': 'max 100000\n',
      },
      { cores: 64, coresFrom: 'machine', memoryBytes: 256 * GIB },
    ],
    [
      'a limit of the slice around a unit of systemd',
      {
        '/proc/self/cgroup': '0::/apps.slice/postern.service\n',
        '/sys/fs/cgroup/apps.slice/postern.service/memory.max': 'max\n',
        '/sys/fs/cgroup/apps.slice/memory.max': '1073741824\n',
      },
      { memoryBytes: GIB, memoryFrom: 'container' },
    ],
    [
      'control groups of version 1',
      {
        '/proc/self/cgroup': '5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n',
        '/sys/fs/cgroup/memory/memory.limit_in_bytes': '268435456\n',
        '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '50000\n',
        '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
      },
      { cores: 1, coresFrom: 'container', memoryBytes: 256 * MIB },
    ],
    [
      'version 1 without limits',
      {
        '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
        '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n',
        '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
      },
      { cores: 64, memoryBytes: 256 * GIB, memoryFrom: 'machine' },
    ],
    [
      'version 1 of the memory controller beside version 2 (hybrid)',
      {
        '/proc/self/cgroup': '4:memory:/user.slice\n0::/user.slice\n',
        '/sys/fs/cgroup/memory/user.slice/memory.limit_in_bytes': '268435456\n',
      },
      { cores: 64, coresFrom: 'machine', memoryBytes: 256 * MIB, memoryFrom: 'container' },
    ],
    [
      'files that say nothing usable',
      {
        '/proc/self/cgroup': '0::/../../elsewhere\n',
        '/sys/fs/cgroup/memory.max': '0\n',
        '/sys/fs/cgroup/cpu.max': '0 0\n',
        '/proc/self/limits': 'Max open files            unlimited            unlimited            files\n',
      },
      { cores: 64, coresFrom: 'machine', memoryBytes: 256 * GIB, memoryFrom: 'machine', openFiles: Infinity },
    ],
    [
      'line ends of Windows',
      { '/sys/fs/cgroup/memory.max': '536870912\r\n', '/sys/fs/cgroup/cpu.max': '50000 100000\r\n' },
      { cores: 1, coresFrom: 'container', memoryBytes: 512 * MIB },
    ],
    [
      'few files',
      { '/proc/self/limits': 'Max open files            1024                 4096                 files\n' },
      { openFiles: 1024 },
    ],
  ])('%s', (_what, files, expected) => {
    expect(machineLimits(reader(files))).toMatchObject(expected);
  });
});

describe('D24 the defaults fit', () => {
  const machineOf = (cores: number, bytes: number, files = Infinity) =>
    ({ cores, coresFrom: 'machine', memoryBytes: bytes, memoryFrom: 'container', openFiles: files }) as const;
  const sizesOf = (cores: number, bytes: number, environment: object = production, files?: number) =>
    loadSettings(environment as Record<string, string>, { machine: machineOf(cores, bytes, files) });

  test('64 cores under a limit of 512 MiB: the hashing threads do not fill it', () => {
    const { hashConcurrency, tokenCacheBytes, maxConnections, sizing, warnings } = sizesOf(64, 512 * MIB);
    expect({ hashConcurrency, tokenCacheBytes, maxConnections }).toEqual({
      hashConcurrency: 6,
      tokenCacheBytes: 32 * MIB,
      maxConnections: 2048,
    });
    expect(sizing).toBe(
      'the machine has 64 cores, and the container allows 512 MiB of memory: POSTERN_HASH_CONCURRENCY=6, POSTERN_TOKEN_CACHE=32MiB, POSTERN_MAX_CONNECTIONS=2048',
    );
    expect(warnings).toEqual([]);
  });

  test.each([
    [2, 24 * GIB, 1],
    [64, 256 * GIB, 63],
    [64, 128 * MIB, 1],
    [1, 8 * GIB, 1],
  ])('%i cores and %i bytes of memory', (cores, bytes, threads) => {
    expect(sizesOf(cores, bytes).hashConcurrency).toBe(threads);
  });

  test('the embedded PostgreSQL needs room as well', () => {
    expect(sizesOf(64, 512 * MIB, {}).hashConcurrency).toBeLessThan(6);
  });

  test('few files that may be open are few connections', () => {
    expect(sizesOf(8, 16 * GIB, production, 4096).maxConnections).toBe(3840);
  });

  test('limits of the same origin are named together', () => {
    const machine = { ...machineOf(1, 512 * MIB), coresFrom: 'container' as const };
    expect(loadSettings(production, { machine }).sizing).toMatch(
      /^the container allows 1 core and 512 MiB of memory: POSTERN_HASH_CONCURRENCY=1,/,
    );
  });

  test.each([
    [64, production, /^this process may use 64MiB of memory, and Postern needs at least 166MiB,/],
    [256, {}, /^this process may use 256MiB of memory, and Postern needs at least 338MiB,/],
  ])('a limit of %i MiB is too small for the least sizes', (mib, environment, warning) => {
    expect(sizesOf(1, mib * MIB, environment).warnings).toEqual([expect.stringMatching(warning)]);
  });

  test('a cache alone can be too large', () => {
    const { warnings } = sizesOf(2, 512 * MIB, { ...production, POSTERN_TOKEN_CACHE: '1GiB' });
    expect(warnings).toEqual([expect.stringMatching(/POSTERN_TOKEN_CACHE need .* at most 1 and 32MiB/)]);
  });

  test('a warning says when the sizes that an operator sets do not fit', () => {
    const { hashConcurrency, warnings, sizing } = sizesOf(64, 512 * MIB, {
      ...production,
      POSTERN_HASH_CONCURRENCY: '63',
    });
    expect(hashConcurrency).toBe(63);
    expect(warnings).toEqual([
      expect.stringMatching(/^POSTERN_HASH_CONCURRENCY .* more memory .* at most 6 and 32MiB/),
    ]);
    expect(sizing).toContain('POSTERN_HASH_CONCURRENCY=63 (set)');
  });
});
