import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import { type ListenAddress, unresolvedNameError } from '../net/listen-address.ts';
import { ConnectionSlots, connectionLimitsFor } from '../net/connection-slots.ts';
import { limitedSource } from '../net/peer-address.ts';
import {
  bindWithMode,
  clearStaleSocket,
  openSocket,
  OWNER_ONLY,
  type SocketAccess,
} from '../net/unix-socket.ts';
import type { ReportRefusedConnection } from '../net/refused-connection.ts';
import { watchHandshakes } from '../net/tls/handshake-failure.ts';
import { HANDSHAKE_LIMIT_MS, type ServerTls } from '../net/tls/server-tls.ts';
import { type Answer, methodNotAllowed, text } from './answer.ts';
import { respondToClientError } from './client-error-response.ts';
import type { HttpCalls } from './http-calls.ts';
import { type Document, type HttpContent, type Pages, publishedDocuments } from './published-documents.ts';

const MAX_CONNECTIONS = 1_000;
/** Connections that wait in the kernel for accept (Node's default is 511). Beyond that a client has to retry after a second. */
const BACKLOG = 4_096;
const noTrustedProxies: (address: string) => boolean = () => false;
/** Timeouts of slow requests are checked every second; Node's default is 30 s. */
const PARSER_LIMITS = { maxHeaderSize: 8_192, connectionsCheckingInterval: 1_000 };
const HEADERS_LIMIT_MS = 5_000;
/**
 * Between two requests. Longer than the 60 s for which nginx and the load balancers of AWS keep idle connections: who closes
 * first must be the proxy, or it sends requests into connections that are being closed. The slots limit what this can cost.
 */
const KEEP_ALIVE_MS = 65_000;
/** A connection without traffic is closed after this time, while a request arrives or is answered. */
const SILENCE_LIMIT_MS = 15_000;

/**
 * Serves the key set, discovery, health and metrics over HTTP, from memory, and the calls of `HttpCalls`. TLS does not ask for client certificates: the
 * content is public, and clients that fetch key sets or probe health have no certificate.
 */
export class HttpServer {
  readonly #server: Server;
  readonly #slots: ConnectionSlots;
  readonly #calls: HttpCalls | null;

  /** @param tls null for plaintext */
  constructor(
    content: HttpContent,
    tls: ServerTls | null,
    options: {
      readonly headersTimeoutMs?: number;
      readonly isTrustedProxy?: (address: string) => boolean;
      readonly onConnectionRefused?: ReportRefusedConnection;
      /** Absent where nothing is served but documents. */
      readonly calls?: HttpCalls | null;
      readonly pages?: Pages | null;
    } = {},
  ) {
    const {
      headersTimeoutMs = HEADERS_LIMIT_MS,
      isTrustedProxy = noTrustedProxies,
      onConnectionRefused,
      calls = null,
      pages = null,
    } = options;
    const documents = publishedDocuments(content);
    this.#calls = calls;
    // A connection whose last request was answered can be closed for a new one.
    this.#slots = new ConnectionSlots(
      connectionLimitsFor(MAX_CONNECTIONS),
      (socket) => limitedSource(socket, isTrustedProxy),
      { evictsServed: true, onClosed: onConnectionRefused },
    );
    const serve = (request: IncomingMessage, response: ServerResponse) => {
      watchRequest(this.#slots, request, response);
      respond(request, response, { documents, pages, calls });
    };
    this.#server = tls === null ? createServer(PARSER_LIMITS, serve) : secureServer(tls, serve);
    this.#server.setTimeout(SILENCE_LIMIT_MS);
    this.#server.headersTimeout = headersTimeoutMs;
    this.#server.requestTimeout = 10_000;
    this.#server.keepAliveTimeout = KEEP_ALIVE_MS;
    this.#server.maxRequestsPerSocket = 1_000;
    this.#server.on('clientError', respondToClientError);
    if (onConnectionRefused) {
      if (tls !== null)
        watchHandshakes(this.#server, (socket) => this.#slots.wasClosed(socket), onConnectionRefused);
      else reportTlsCallers(this.#server, onConnectionRefused);
    }
  }

  /**
   * @param access who may connect to a unix socket
   * @returns the bound address; the system chooses the port if it was 0
   */
  async listen(address: ListenAddress, access: SocketAccess = OWNER_ONLY): Promise<ListenAddress> {
    if (address.kind === 'unix') await clearStaleSocket(address.path);
    await new Promise<void>((resolve, reject) => {
      const failed = (error: NodeJS.ErrnoException) => {
        const isUnresolved = address.kind === 'tcp' && error.syscall === 'getaddrinfo';
        reject(isUnresolved ? unresolvedNameError(address.host, error) : error);
      };
      this.#server.once('error', failed);
      const bound = () => {
        this.#server.off('error', failed);
        resolve();
      };
      if (address.kind === 'unix') bindWithMode(access, () => this.#server.listen(address.path, bound));
      else this.#server.listen({ port: address.port, host: address.host, backlog: BACKLOG }, bound);
    });
    this.#slots.install(this.#server);
    this.#calls?.bound(address.kind === 'unix');
    if (address.kind === 'unix') {
      await this.#openSocket(address.path, access);
      return address;
    }
    return { ...address, port: (this.#server.address() as AddressInfo).port };
  }

  /** How many connections were closed because all slots were taken. */
  get closedConnections(): number {
    return this.#slots.closed;
  }

  async #openSocket(path: string, access: SocketAccess): Promise<void> {
    try {
      openSocket(path, access);
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}

/** How long a response may stay unread, as over gRPC. */
const UNREAD_LIMIT_MS = 10_000;
/** How long a client may go on sending a request that was answered already; then it has had time to read the response. */
const LINGER_MS = 1_000;

/**
 * Tells the slots when the connection has a call in progress: from the end of a request to that of its response. Closes the
 * connection of a client that does not read the response, or goes on sending the request after it.
 */
function watchRequest(slots: ConnectionSlots, request: IncomingMessage, response: ServerResponse): void {
  const { socket } = request;
  let isCalled = false;
  let unread: NodeJS.Timeout | undefined;
  request.on('end', () => {
    isCalled = !response.writableFinished;
    if (isCalled) slots.called(socket);
    else slots.served(socket);
  });
  response.on('prefinish', () => {
    // Most responses are taken by the kernel at once.
    if (socket.writableLength > 0) unread = setTimeout(() => socket.destroy(), UNREAD_LIMIT_MS);
  });
  response.on('close', () => {
    if (isCalled) slots.served(socket);
    clearTimeout(unread);
    if (request.complete || socket.destroyed) return;
    const unfinished = setTimeout(() => socket.destroy(), LINGER_MS);
    request.once('close', () => clearTimeout(unfinished));
  });
}

/** The first byte of a TLS record that begins a handshake (RFC 8446 section 5.1). */
const TLS_HANDSHAKE = 0x16;

/** Reports the callers that speak TLS to a listener in plaintext. */
function reportTlsCallers(server: Server, report: ReportRefusedConnection): void {
  server.on('clientError', ({ rawPacket }: Error & { rawPacket?: Buffer }, socket: Duplex) => {
    if (rawPacket?.[0] !== TLS_HANDSHAKE) return;
    const detail = 'the caller speaks TLS, and this listener does not; set POSTERN_TLS_CERT, or use http';
    report({
      reason: 'tls',
      detail,
      address: socket instanceof Socket ? (socket.remoteAddress ?? null) : null,
    });
  });
}

function secureServer(tls: ServerTls, serve: Parameters<typeof createServer>[1]): Server {
  const server = createTlsServer(
    { ...PARSER_LIMITS, ...tls.context, handshakeTimeout: HANDSHAKE_LIMIT_MS },
    serve,
  );
  tls.subscribe((context) => server.setSecureContext(context));
  return server;
}

interface Served {
  readonly documents: ReadonlyMap<string, Document>;
  readonly pages: Pages | null;
  readonly calls: HttpCalls | null;
}

function respond(request: IncomingMessage, response: ServerResponse, served: Served): void {
  const { calls } = served;
  // A proxy may send the whole URL, which a server must take (RFC 9112 section 3.2.2).
  const path = (request.url ?? '').replace(/^https?:\/\/[^/?#]*/i, '').split('?', 1)[0] ?? '';
  const endpoint = calls?.find(path);
  if (calls && endpoint) {
    calls.serve(endpoint, request, response);
    return;
  }
  const { status, headers, body } = documentAt(path, request, served);
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'x-content-type-options': 'nosniff',
    // RFC 9110 section 8.6: with 304 it would be the length of the content that the client has already.
    ...(status !== 304 && { 'content-length': Buffer.byteLength(body) }),
    ...headers,
  });
  response.end(request.method === 'HEAD' ? undefined : body);
  request.resume();
}

function documentAt(path: string, request: IncomingMessage, { documents, pages }: Served): Answer {
  const page = pages?.find(path);
  if (page) return page(request);
  const document = documents.get(path);
  if (!document) {
    const paths = [...documents.keys(), ...(pages ? [pages.path] : [])];
    return text(404, `nothing is served here; try ${paths.join(', ')}\n`);
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') return methodNotAllowed(['GET', 'HEAD']);
  return document(request);
}
