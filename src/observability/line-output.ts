import { constants, fstatSync, openSync, write, writeSync } from 'node:fs';

import { Backoff } from '../domain/backoff.ts';

/** Of lines that wait for a slow reader or disk. */
const MAX_WAITING_BYTES = 1024 * 1024;
const MAX_BYTES_AT_ONCE = 65_536;
const FIRST_PAUSE_MS = 5;
const LINE_END = 0x0a;
/** Errors after which the same bytes may be written a moment later. */
const TRANSIENT_ERRORS = new Set(['EAGAIN', 'EBUSY', 'EINTR']);

/** Lines on their way. */
interface Chunk {
  /** What is not written yet. */
  rest: Buffer;
  readonly bytes: number;
  /** Whether it begins with the end of a line that was broken off. */
  readonly endsBrokenLine: boolean;
  /** How many lost lines are told of when it is written. */
  readonly reportedLost: number;
  /** Whether its last line does so. */
  readonly endsWithLossReport: boolean;
}

/**
 * Where lines go without anybody waiting for them: a reader that stands still must not hold up a call, and a full disk
 * must not end the process. What does not go at once waits, up to 1 MiB; what finds no room, or cannot be written at all,
 * is lost and counted, and when lines go again one of them tells how many were lost.
 *
 * `sonic-boom` is not used: it sleeps on the event loop while a pipe is full, or else keeps one of libuv's threads in a
 * write that may never return, for which the end of the process waits; and an error of a write is an exception.
 */
export class LineOutput {
  readonly #fd: number;
  /** Else a thread writes, so that a slow disk holds up nobody. */
  readonly #neverBlocks: boolean;
  readonly #isFile: boolean;
  readonly #lossReport: (lost: number) => string;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #chunk: Chunk | null = null;
  #isInBrokenLine = false;
  #lost = 0;
  #unreported = 0;
  /** 5, 10, 20, ... 200 ms. */
  readonly #backoff = new Backoff({ firstMs: FIRST_PAUSE_MS, maxMs: 200 });

  /** @param lossReport the line that tells of lost ones, with its end; empty for none */
  constructor(fd: number, lossReport: (lost: number) => string = () => '') {
    const { isFile, ...opened } = openWithoutBlocking(fd);
    this.#fd = opened.fd;
    this.#neverBlocks = opened.neverBlocks;
    this.#isFile = isFile;
    this.#lossReport = lossReport;
  }

  /** Lines that nobody will see. */
  get linesLost(): number {
    return this.#lost;
  }

  write(line: string): void {
    const bytes = Buffer.from(line);
    if (this.#waitingBytes + bytes.length > MAX_WAITING_BYTES) {
      this.#countLost(1);
      return;
    }
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    if (this.#chunk === null) this.#send();
  }

  /** For the end of the process: writes what waits, for so long at most. What a thread is writing, Node waits for. */
  flush(limitMs: number): void {
    if (!this.#neverBlocks && !this.#isFile) return;
    if (!this.#neverBlocks) this.#chunk = null;
    const endsAtMs = performance.now() + limitMs;
    const sleeper = new Int32Array(new SharedArrayBuffer(4));
    while ((this.#chunk ??= this.#nextChunk()) !== null) {
      if (this.#attempt(this.#chunk)) continue;
      if (performance.now() >= endsAtMs) return;
      Atomics.wait(sleeper, 0, 0, FIRST_PAUSE_MS);
    }
  }

  #send(): void {
    while ((this.#chunk ??= this.#nextChunk()) !== null) {
      if (!this.#neverBlocks) {
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
    // What nobody reads is no reason to go on.
    setTimeout(() => this.#send(), this.#backoff.next()).unref();
  }

  #nextChunk(): Chunk | null {
    if (this.#waiting.length === 0) return null;
    const parts: Buffer[] = this.#isInBrokenLine ? [Buffer.of(LINE_END)] : [];
    const endsBrokenLine = this.#isInBrokenLine;
    let bytes = 0;
    let count = 0;
    for (const line of this.#waiting) {
      if (count > 0 && bytes + line.length > MAX_BYTES_AT_ONCE) break;
      bytes += line.length;
      count += 1;
      parts.push(line);
    }
    this.#waiting = this.#waiting.slice(count);
    this.#waitingBytes -= bytes;
    const reportedLost = this.#waiting.length === 0 ? this.#unreported : 0;
    const report = reportedLost > 0 ? this.#lossReport(reportedLost) : '';
    parts.push(Buffer.from(report));
    const rest = Buffer.concat(parts);
    return { rest, bytes: rest.length, endsBrokenLine, reportedLost, endsWithLossReport: report !== '' };
  }

  /** @returns whether there is something else to do than to wait */
  #attempt(chunk: Chunk): boolean {
    try {
      return this.#onWritten(chunk, writeSync(this.#fd, chunk.rest));
    } catch (error) {
      return this.#onError(chunk, error);
    }
  }

  #writeInThread(chunk: Chunk): void {
    write(this.#fd, chunk.rest, (error, written) => {
      // The end of the process may have begun meanwhile.
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
    this.#isInBrokenLine = false;
    this.#chunk = null;
    return true;
  }

  #onError(chunk: Chunk, error: unknown): boolean {
    if (TRANSIENT_ERRORS.has((error as NodeJS.ErrnoException).code ?? '')) return false;
    const { rest, bytes, endsBrokenLine, endsWithLossReport } = chunk;
    const isUntouched = rest.length === bytes;
    const lineEnds = rest.reduce((count, byte) => count + Number(byte === LINE_END), 0);
    // Neither the line that tells of others nor the end of a broken one is a line of the log.
    this.#countLost(lineEnds - Number(endsWithLossReport) - Number(isUntouched && endsBrokenLine));
    if (!isUntouched) this.#isInBrokenLine = true;
    this.#chunk = null;
    return true;
  }

  #countLost(lines: number): void {
    this.#lost += lines;
    this.#unreported += lines;
  }
}

/** For the end of the process: writes what waits at each, for so long at most in all. */
export function flushLines(outputs: readonly LineOutput[], limitMs: number): void {
  const endsAtMs = performance.now() + limitMs;
  for (const output of outputs) output.flush(endsAtMs - performance.now());
}

/**
 * A pipe or a terminal is opened once more, so that not to block is a property of ours alone: others who write there
 * would feel it, and could undo it. Where that cannot be done (a socket, a pipe of another user, no /proc), Node makes
 * pipes and sockets non-blocking as soon as they are used as streams.
 */
function openWithoutBlocking(fd: number): { fd: number; neverBlocks: boolean; isFile: boolean } {
  const stats = fstatSync(fd);
  if (stats.isFile()) return { fd, neverBlocks: false, isFile: true };
  const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants;
  try {
    const own = openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_NONBLOCK | O_NOCTTY);
    return { fd: own, neverBlocks: true, isFile: false };
  } catch {
    const isStream = (fd === 1 ? process.stdout : process.stderr).writable;
    return { fd, neverBlocks: isStream && (stats.isFIFO() || stats.isSocket()), isFile: false };
  }
}
