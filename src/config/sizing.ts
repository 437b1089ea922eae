import type { MachineLimits } from './machine-limits.ts';

const MIB = 2 ** 20;

/** Of the service after some thousand calls, without hashing threads and without its cache; `serve` measures 111 MB. */
const SERVICE_BYTES = 128 * MIB;
/** Of the embedded PostgreSQL, which shares the limit. */
const EMBEDDED_BYTES = 160 * MIB;
/** Of one thread: 14 MB of its own, and 19 MiB for a hash. */
const THREAD_BYTES = 34 * MIB;
/** The rest is for connections and for work under way. */
const THREADS_FRACTION = 0.6;
const MAX_CACHE_BYTES = 64 * MIB;
const CACHE_FRACTION = 1 / 16;
/** One idle connection of gRPC with its HTTP/2 session. */
const CONNECTION_BYTES = 64 * 2 ** 10;
const CONNECTIONS_FRACTION = 1 / 4;
const MAX_CONNECTIONS = 10_000;
const MIN_CONNECTIONS = 256;
/** Files and sockets for everything else. */
const OTHER_FILES = 256;

/** The settings whose defaults depend on the machine. */
export interface Sizes {
  readonly hashConcurrency: number;
  readonly tokenCacheBytes: number;
  readonly maxConnections: number;
}

/** Sizes that fit the cores and the memory that the process may use (D24). */
export function sizesFor({ cores, memoryBytes, openFiles }: MachineLimits, production: boolean): Sizes {
  const connectionsInMemory = Math.floor((memoryBytes * CONNECTIONS_FRACTION) / CONNECTION_BYTES);
  const tokenCacheBytes = Math.min(MAX_CACHE_BYTES, Math.floor((memoryBytes * CACHE_FRACTION) / MIB) * MIB);
  const threads = threadsIn(memoryBytes - tokenCacheBytes, production);
  return {
    hashConcurrency: Math.max(1, Math.min(cores - 1, threads)),
    tokenCacheBytes,
    maxConnections: Math.max(
      MIN_CONNECTIONS,
      Math.min(MAX_CONNECTIONS, connectionsInMemory, openFiles - OTHER_FILES),
    ),
  };
}

/** The memory that a process with these sizes needs, without room to spare. */
export function neededBytes(
  { hashConcurrency, tokenCacheBytes }: Pick<Sizes, 'hashConcurrency' | 'tokenCacheBytes'>,
  production: boolean,
): number {
  return restBytes(production) + tokenCacheBytes + hashConcurrency * THREAD_BYTES;
}

function threadsIn(bytes: number, production: boolean): number {
  return Math.floor(((bytes - restBytes(production)) * THREADS_FRACTION) / THREAD_BYTES);
}

function restBytes(production: boolean): number {
  return SERVICE_BYTES + (production ? 0 : EMBEDDED_BYTES);
}

/**
 * One line that says what is used, and from what it was chosen.
 *
 * @param isSet whether the operator has set a size
 */
export function describeSizes(
  { hashConcurrency, tokenCacheBytes, maxConnections }: Sizes,
  { cores, coresFrom, memoryBytes, memoryFrom }: MachineLimits,
  isSet: (size: keyof Sizes) => boolean,
): string {
  const note = (size: keyof Sizes) => (isSet(size) ? ' (set)' : '');
  const has = (origin: string) => (origin === 'container' ? 'the container allows' : 'the machine has');
  const coresText = `${cores} ${cores === 1 ? 'core' : 'cores'}`;
  const memoryText = `${Math.round(memoryBytes / MIB)} MiB of memory`;
  const limits =
    coresFrom === memoryFrom
      ? `${has(coresFrom)} ${coresText} and ${memoryText}`
      : `${has(coresFrom)} ${coresText}, and ${has(memoryFrom)} ${memoryText}`;
  return (
    `${limits}: POSTERN_HASH_CONCURRENCY=${hashConcurrency}${note('hashConcurrency')}, ` +
    `POSTERN_TOKEN_CACHE=${sizeText(tokenCacheBytes)}${note('tokenCacheBytes')}, ` +
    `POSTERN_MAX_CONNECTIONS=${maxConnections}${note('maxConnections')}`
  );
}

/** A size as a setting is written. */
export function sizeText(bytes: number): string {
  return bytes % MIB === 0 ? `${bytes / MIB}MiB` : `${Math.ceil(bytes / 1024)}KiB`;
}
