import { constants, fstatSync, openSync, write, writeSync } from 'node:fs';

import { Backoff } from '../domain/concurrency/backoff.ts';

/** The maximum size of the queue of lines that wait for a slow reader or disk. */
const MAX_QUEUED_BYTES = 1024 * 1024;
const MAX_CHUNK_BYTES = 65_536;
const FIRST_RETRY_MS = 5;
const LINE_END = 0x0a;
/** Errors after which the same write can be retried. */
const TRANSIENT_ERRORS = new Set(['EAGAIN', 'EBUSY', 'EINTR']);

/** Lines that are being written. */
interface Chunk {
  /** The bytes that are not written yet. */
  rest: Buffer;
  /** The size of the whole chunk. */
  readonly bytes: number;
  /** Whether it starts with a line feed that ends a partially written line. */
  readonly endsPartialLine: boolean;
  /** How many lost lines count as reported once it is written. */
  readonly reportedLost: number;
  /** Whether its last line is the report of lost lines. */
  readonly endsWithLossReport: boolean;
}

/**
 * Writes lines without blocking: a reader that has stopped must not delay a call, and a full disk must not end the
 * process. Lines that cannot be written at once are queued, up to 1 MiB. Lines that do not fit, or cannot be written at
 * all, are lost and counted. When writing works again, one line reports how many were lost.
 *
 * `sonic-boom` is not used. In one mode it sleeps on the event loop while a pipe is full. In the other it keeps one of
 * libuv's threads in a write that may never return, and the process waits for it at exit. In both a write error is an
 * exception.
 */
export class LineOutput {
  readonly #fd: number;
  /** When false, libuv's threads write, so that a slow disk does not block the event loop. */
  readonly #isNonBlocking: boolean;
  readonly #isFile: boolean;
  readonly #lossReport: (lost: number) => string;
  #queue: Buffer[] = [];
  #queuedBytes = 0;
  #chunk: Chunk | null = null;
  #hasPartialLine = false;
  #lost = 0;
  #unreported = 0;
  /** 5, 10, 20, ... 200 ms. */
  readonly #backoff = new Backoff({ firstMs: FIRST_RETRY_MS, maxMs: 200 });

  /** @param lossReport formats the line that reports lost lines, with its line feed; empty for no report */
  constructor(fd: number, lossReport: (lost: number) => string = () => '') {
    const { isFile, ...opened } = openNonBlocking(fd);
    this.#fd = opened.fd;
    this.#isNonBlocking = opened.isNonBlocking;
    this.#isFile = isFile;
    this.#lossReport = lossReport;
  }

  /** The number of lines that were dropped. */
  get linesLost(): number {
    return this.#lost;
  }

  write(line: string): void {
    const bytes = Buffer.from(line);
    if (this.#queuedBytes + bytes.length > MAX_QUEUED_BYTES) {
      this.#countLost(1);
      return;
    }
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
    if (this.#chunk === null) this.#send();
  }

  /**
   * Writes the queued lines before the process exits, for at most `limitMs`. Node itself waits for a write that a
   * thread has begun.
   */
  flush(limitMs: number): void {
    if (!this.#isNonBlocking && !this.#isFile) return;
    if (!this.#isNonBlocking) this.#chunk = null;
    const endsAtMs = performance.now() + limitMs;
    const sleeper = new Int32Array(new SharedArrayBuffer(4));
    while ((this.#chunk ??= this.#nextChunk()) !== null) {
      if (this.#attempt(this.#chunk)) continue;
      if (performance.now() >= endsAtMs) return;
      Atomics.wait(sleeper, 0, 0, FIRST_RETRY_MS);
    }
  }

  #send(): void {
    while ((this.#chunk ??= this.#nextChunk()) !== null) {
      if (!this.#isNonBlocking) {
        this.#writeInThread(this.#chunk);
        return;
      }
      if (!this.#attempt(this.#chunk)) {
        this.#sendLater();
        return;
      }
    }
  }

  #sendLater(): void {
    // Unread lines must not keep the process alive.
    setTimeout(() => this.#send(), this.#backoff.next()).unref();
  }

  #nextChunk(): Chunk | null {
    if (this.#queue.length === 0) return null;
    const parts: Buffer[] = this.#hasPartialLine ? [Buffer.of(LINE_END)] : [];
    const endsPartialLine = this.#hasPartialLine;
    let bytes = 0;
    let count = 0;
    for (const line of this.#queue) {
      if (count > 0 && bytes + line.length > MAX_CHUNK_BYTES) break;
      bytes += line.length;
      count += 1;
      parts.push(line);
    }
    this.#queue = this.#queue.slice(count);
    this.#queuedBytes -= bytes;
    const reportedLost = this.#queue.length === 0 ? this.#unreported : 0;
    const report = reportedLost > 0 ? this.#lossReport(reportedLost) : '';
    parts.push(Buffer.from(report));
    const rest = Buffer.concat(parts);
    return { rest, bytes: rest.length, endsPartialLine, reportedLost, endsWithLossReport: report !== '' };
  }

  /** @returns false when the write must be retried after a pause */
  #attempt(chunk: Chunk): boolean {
    try {
      return this.#onWritten(chunk, writeSync(this.#fd, chunk.rest));
    } catch (error) {
      return this.#onError(chunk, error);
    }
  }

  #writeInThread(chunk: Chunk): void {
    write(this.#fd, chunk.rest, (error, written) => {
      // `flush` may have replaced the chunk meanwhile.
      if (this.#chunk !== chunk) return;
      if (error ? this.#onError(chunk, error) : this.#onWritten(chunk, written)) this.#send();
      else this.#sendLater();
    });
  }

  #onWritten(chunk: Chunk, written: number): boolean {
    chunk.rest = chunk.rest.subarray(written);
    if (written > 0) this.#backoff.reset();
    if (chunk.rest.length > 0) return written > 0;
    this.#unreported -= chunk.reportedLost;
    this.#hasPartialLine = false;
    this.#chunk = null;
    return true;
  }

  #onError(chunk: Chunk, error: unknown): boolean {
    if (TRANSIENT_ERRORS.has((error as NodeJS.ErrnoException).code ?? '')) return false;
    const { rest, bytes, endsPartialLine, endsWithLossReport } = chunk;
    const isUnwritten = rest.length === bytes;
    const lineEnds = rest.reduce((count, byte) => count + Number(byte === LINE_END), 0);
    // The report of lost lines and the end of a partial line are not lines of the log.
    this.#countLost(lineEnds - Number(endsWithLossReport) - Number(isUnwritten && endsPartialLine));
    if (!isUnwritten) this.#hasPartialLine = true;
    this.#chunk = null;
    return true;
  }

  #countLost(lines: number): void {
    this.#lost += lines;
    this.#unreported += lines;
  }
}

/** Flushes all outputs before the process exits, within one limit for all of them. */
export function flushLines(outputs: readonly LineOutput[], limitMs: number): void {
  const endsAtMs = performance.now() + limitMs;
  for (const output of outputs) output.flush(endsAtMs - performance.now());
}

/**
 * Opens a pipe or terminal a second time with O_NONBLOCK. The flag belongs to the open file description, so on the
 * inherited one it would affect the other processes that write there, and they could clear it. Where a second open is
 * not possible (a socket, a pipe of another user, no /proc), it uses Node's stream, which makes pipes and sockets
 * non-blocking.
 */
function openNonBlocking(fd: number): { fd: number; isNonBlocking: boolean; isFile: boolean } {
  const stats = fstatSync(fd);
  if (stats.isFile()) return { fd, isNonBlocking: false, isFile: true };
  const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants;
  try {
    const own = openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_NONBLOCK | O_NOCTTY);
    return { fd: own, isNonBlocking: true, isFile: false };
  } catch {
    const isStream = (fd === 1 ? process.stdout : process.stderr).writable;
    return { fd, isNonBlocking: isStream && (stats.isFIFO() || stats.isSocket()), isFile: false };
  }
}
