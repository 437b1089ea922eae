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
      'the machine has 64 cores, the container allows 512 MiB of memory: POSTERN_HASH_CONCURRENCY=6, POSTERN_TOKEN_CACHE=32MiB, POSTERN_MAX_CONNECTIONS=2048',
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

  test('what an operator sets is used, and told when it does not fit', () => {
    const { hashConcurrency, warnings, sizing } = sizesOf(64, 512 * MIB, {
      ...production,
      POSTERN_HASH_CONCURRENCY: '63',
    });
    expect(hashConcurrency).toBe(63);
    expect(warnings).toEqual([
      expect.stringMatching(/^POSTERN_HASH_CONCURRENCY .* more memory .* 6 hashing threads fit/),
    ]);
    expect(sizing).toContain('POSTERN_HASH_CONCURRENCY=63 (set)');
  });
});
