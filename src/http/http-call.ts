import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { performance } from 'node:perf_hooks';

import type { Caller } from '../domain/caller.ts';
import type { CallOrigin } from '../domain/operation-call.ts';
import { Rejected, type Rejection, RETRY_AFTER_MS } from '../domain/rejection.ts';
import { describePeer } from '../net/peer-address.ts';
import { callEnded, type FinishedCall, requestIdOf } from '../rpc/call-context.ts';
import { type GuardedCall, originOf } from '../rpc/call.ts';
import { Code } from '../rpc/status-code.ts';
import { CALL_STORE_LIMIT_MS } from '../rpc/time-limits.ts';
import type { Answer } from './answer.ts';

/** The answer to a call. The code is what the metrics and the log report. */
export interface CallAnswer extends Answer {
  readonly code: Code;
}

/** What is served at a path by running a call: an RPC, or an endpoint of OAuth. */
export interface Endpoint {
  /** The path in the method table under which the call is counted and logged. */
  readonly path: string;
  /** After this time the call must have been answered, the reading of its body included. */
  readonly deadlineMs: number;
  /** Whether pages of POSTERN_CORS_ORIGINS must not call it. */
  readonly isSameOriginOnly?: boolean;
  /** Must not throw: it maps what its work throws to an answer, in the form of its protocol. */
  answer(call: HttpCall): CallAnswer | Promise<CallAnswer>;
}

/** What all calls of a listener share. */
export interface HttpCallContext {
  readonly throughUnixSocket: () => boolean;
  readonly isTrustedProxy: (address: string) => boolean;
  readonly isStopping: () => boolean;
  readonly onFinish: (call: FinishedCall) => void;
}

/** One call over HTTP/1.1, as its endpoint and its handler see it. */
export class HttpCall implements GuardedCall, FinishedCall {
  readonly request: IncomingMessage;
  readonly requestId: string;
  readonly startedAtMs = performance.now();
  /** An endpoint that stands for several methods sets the one that was called. */
  path: string;
  readonly peer: string;
  /** The listener asks for no client certificate. */
  readonly clientNames = null;
  deadlineMs: number;
  storeDeadlineMs: number;
  caller: Caller | null = null;
  /** Set for a caller with the credential of a service, whose `client.address` is trusted (L12). */
  isFromService = false;
  code: Code = Code.OK;
  durationMs = 0;
  reason: FinishedCall['reason'];
  cause: unknown;
  isFault = false;
  isNoOp = false;
  trace: FinishedCall['trace'];
  readonly #context: HttpCallContext;
  #ended: AbortController | undefined;
  #finished = false;
  /** What waits for the caller or for the work of the call, to be rejected when the call ends before. */
  #reject: ((error: Rejected) => void) | null = null;
  #deadlineTimer: NodeJS.Timeout | undefined;

  constructor(request: IncomingMessage, endpoint: Endpoint, context: HttpCallContext) {
    this.request = request;
    this.requestId = requestIdOf(request.headers['x-request-id']) ?? randomUUID();
    this.path = endpoint.path;
    // Noted here, because a closed socket has no address.
    this.peer = describePeer(request.socket);
    this.#context = context;
    const nowMs = Date.now();
    this.deadlineMs = nowMs + endpoint.deadlineMs;
    this.storeDeadlineMs = nowMs + CALL_STORE_LIMIT_MS;
  }

  get throughUnixSocket(): boolean {
    return this.#context.throughUnixSocket();
  }

  get isTrustedProxy(): (address: string) => boolean {
    return this.#context.isTrustedProxy;
  }

  get isFinished(): boolean {
    return this.#finished;
  }

  get signal(): AbortSignal {
    this.#ended ??= new AbortController();
    if (this.#finished) this.#ended.abort(callEnded);
    return this.#ended.signal;
  }

  /**
   * The sender of a request over HTTP may be a browser behind the proxy, so the network address of the proxy makes nobody
   * trusted to name another client's address; only the credential of a service does (L12).
   */
  get origin(): CallOrigin {
    const { headers, headersDistinct } = this.request;
    const origin = originOf(this, headers['user-agent'], headersDistinct['x-forwarded-for'] ?? []);
    return { ...origin, isTrustedForwarder: this.isFromService };
  }

  get clientAddress(): string | null {
    return this.origin.address;
  }

  get authorization(): readonly string[] {
    return this.request.headersDistinct.authorization ?? [];
  }

  /** Shortens the time limit of the call to the one that its caller has set. */
  limitTo(callerLimitMs: number): void {
    const elapsedMs = performance.now() - this.startedAtMs;
    this.deadlineMs = Math.min(this.deadlineMs, Date.now() + callerLimitMs - elapsedMs);
  }

  /**
   * Reads the whole body. The time limit of the database begins when it has arrived.
   *
   * @throws Rejected `message-too-large`, `shutting-down`, `deadline-exceeded`, or `cancelled`
   */
  readBody(maxBytes: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const { request } = this;
      const tooLarge = () => reject(new Rejected({ kind: 'message-too-large', maxBytes }));
      if (this.#context.isStopping()) {
        reject(new Rejected({ kind: 'shutting-down', retryAfterMs: RETRY_AFTER_MS }));
        return;
      }
      if (Number(request.headers['content-length'] ?? 0) > maxBytes) {
        tooLarge();
        return;
      }
      this.#rejectAtEnd(reject);
      const chunks: Buffer[] = [];
      let size = 0;
      request.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size <= maxBytes) chunks.push(chunk);
        else if (size - chunk.length <= maxBytes) {
          this.#settled();
          tooLarge();
        }
      });
      request.on('end', () => {
        this.#settled();
        this.storeDeadlineMs = Date.now() + CALL_STORE_LIMIT_MS;
        resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks));
      });
    });
  }

  /**
   * Settles as the work does, or rejects when the deadline passes or the caller goes away. The work continues then, and its
   * result is ignored.
   */
  beforeDeadline<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#rejectAtEnd(reject);
      work.then(resolve, reject).finally(() => this.#settled());
    });
  }

  /** Rejects when the deadline passes or the caller goes away, unless `#settled` is called before. */
  #rejectAtEnd(reject: (error: Rejected) => void): void {
    this.#reject = reject;
    if (this.#finished) {
      this.#refuse('cancelled');
      return;
    }
    const leftMs = Math.max(0, this.deadlineMs - Date.now());
    this.#deadlineTimer = setTimeout(() => this.#refuse('deadline-exceeded'), leftMs);
  }

  #settled(): void {
    clearTimeout(this.#deadlineTimer);
    this.#reject = null;
  }

  #refuse(kind: Extract<Rejection['kind'], 'deadline-exceeded' | 'cancelled'>): void {
    const reject = this.#reject;
    this.#settled();
    reject?.(new Rejected({ kind }));
  }

  noteRefusal(reason: NonNullable<FinishedCall['reason']>, cause: unknown, isFault: boolean): void {
    this.reason = reason;
    this.cause = cause;
    this.isFault = isFault;
  }

  noteNoOp(): void {
    this.isNoOp = true;
  }

  /** Reports the end of the call, the first time that it is called. */
  finish(code: Code): void {
    if (this.#finished) return;
    this.#finished = true;
    if (this.#reject) this.#refuse('cancelled');
    this.#ended?.abort(callEnded);
    this.code = code;
    this.durationMs = performance.now() - this.startedAtMs;
    this.#context.onFinish(this);
  }
}
