import { createHash } from 'node:crypto';
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
import { EXPOSITION_TYPE } from '../observability/metrics/exposition.ts';
import { respondToClientError } from './client-error-response.ts';

/** What the HTTP listener serves. */
export interface HttpContent {
  /** Key set and discovery of the issuer; null in a process that is not the issuer, such as a sidecar. */
  readonly publication: Publication | null;
  /** The reasons why this process should not receive calls; empty when it is ready. */
  unreadyReasons(): readonly string[];
  /** The metrics in the text format of Prometheus. */
  metrics(): string;
}

/** The public keys of the issuer, for verifiers. */
interface Publication {
  readonly issuer: string;
  /** Null until keys are loaded. */
  jwks(): { json: string; etag: string; algorithms: readonly string[]; maxAgeSeconds: number } | null;
}

interface Answer {
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly body: string;
}

type Route = (request: IncomingMessage, content: HttpContent) => Answer;

type Routes = ReadonlyMap<string, Route>;

function routesOf({ publication }: HttpContent): Routes {
  return new Map<string, Route>([
    ...(publication
      ? ([
          ['/.well-known/jwks.json', (request) => jwks(request, publication)],
          ['/.well-known/openid-configuration', (request) => openidConfiguration(request, publication)],
        ] satisfies [string, Route][])
      : []),
    ['/livez', () => text(200, 'ok\n')],
    ['/readyz', readiness],
    ['/metrics', metrics],
  ]);
}

const MAX_CONNECTIONS = 1_000;
/** Connections that wait in the kernel for accept (Node's default is 511). Beyond that a client has to retry after a second. */
const BACKLOG = 4_096;
const noTrustedProxies: (address: string) => boolean = () => false;
/** Timeouts of slow requests are checked every second; Node's default is 30 s. */
const PARSER_LIMITS = { maxHeaderSize: 8_192, connectionsCheckingInterval: 1_000 };
const HEADERS_LIMIT_MS = 5_000;
/** A connection without traffic is closed after this time. */
const SILENCE_LIMIT_MS = 15_000;

/**
 * Serves the key set, discovery, health and metrics over HTTP, from memory. TLS does not ask for client certificates: the
 * content is public, and clients that fetch key sets or probe health have no certificate.
 */
export class HttpServer {
  readonly #server: Server;
  readonly #slots: ConnectionSlots;

  /** @param tls null for plaintext */
  constructor(
    content: HttpContent,
    tls: ServerTls | null,
    options: {
      readonly headersTimeoutMs?: number;
      readonly isTrustedProxy?: (address: string) => boolean;
      readonly onConnectionRefused?: ReportRefusedConnection;
    } = {},
  ) {
    const {
      headersTimeoutMs = HEADERS_LIMIT_MS,
      isTrustedProxy = noTrustedProxies,
      onConnectionRefused,
    } = options;
    const routes = routesOf(content);
    // Requests are answered immediately, so a connection that was served can be closed for a new one.
    this.#slots = new ConnectionSlots(
      connectionLimitsFor(MAX_CONNECTIONS),
      (socket) => limitedSource(socket, isTrustedProxy),
      { evictsServed: true, onClosed: onConnectionRefused },
    );
    const serve = (request: IncomingMessage, response: ServerResponse) => {
      request.once('end', () => this.#slots.served(request.socket));
      respond(request, response, routes, content);
    };
    this.#server = tls === null ? createServer(PARSER_LIMITS, serve) : secureServer(tls, serve);
    this.#server.setTimeout(SILENCE_LIMIT_MS);
    this.#server.headersTimeout = headersTimeoutMs;
    this.#server.requestTimeout = 10_000;
    this.#server.keepAliveTimeout = 5_000;
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

function respond(
  request: IncomingMessage,
  response: ServerResponse,
  routes: Routes,
  content: HttpContent,
): void {
  const { status, headers, body } = answerTo(request, routes, content);
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

function answerTo(request: IncomingMessage, routes: Routes, content: HttpContent): Answer {
  // A proxy may send the whole URL, which a server must take (RFC 9112 section 3.2.2).
  const path = (request.url ?? '').replace(/^https?:\/\/[^/?#]*/i, '').split('?', 1)[0] ?? '';
  const route = routes.get(path);
  if (!route) return text(404, `nothing is served here; try ${[...routes.keys()].join(', ')}\n`);
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return { ...text(405, 'only GET and HEAD are allowed\n'), headers: { allow: 'GET, HEAD' } };
  }
  return route(request, content);
}

function jwks(request: IncomingMessage, publication: Publication): Answer {
  const keySet = publication.jwks();
  if (keySet === null) return keysUnknown();
  return cacheable(request, { ...keySet, type: 'application/jwk-set+json' });
}

/**
 * The members of OpenID Connect Discovery that token verifiers read. Postern is not an OpenID provider. The algorithms are
 * those of the published keys; a verifier that finds none there may take RS256 for the only one (go-oidc does). The member
 * is left out when it would be empty (OpenID Connect Discovery, section 4.2), as in HS256 mode.
 */
function openidConfiguration(request: IncomingMessage, publication: Publication): Answer {
  const keySet = publication.jwks();
  // A verifier keeps this document for its lifetime, so it must not see one without the algorithms.
  if (keySet === null) return keysUnknown();
  const { algorithms, maxAgeSeconds } = keySet;
  const { issuer } = publication;
  const json = JSON.stringify({
    issuer,
    jwks_uri: `${issuer.replace(/\/$/, '')}/.well-known/jwks.json`,
    ...(algorithms.length > 0 && { id_token_signing_alg_values_supported: algorithms }),
  });
  const etag = `"${createHash('sha256').update(json).digest('base64url')}"`;
  return cacheable(request, { json, etag, maxAgeSeconds, type: 'application/json' });
}

/** With a cacheable empty set, a verifier would refuse every token until max-age has passed. */
function keysUnknown(): Answer {
  const unavailable = text(503, 'the keys are not loaded yet; retry in a second\n');
  return { ...unavailable, headers: { ...unavailable.headers, 'retry-after': '1' } };
}

function cacheable(
  request: IncomingMessage,
  document: { json: string; etag: string; maxAgeSeconds: number; type: string },
): Answer {
  const { json, etag, maxAgeSeconds, type } = document;
  const headers = {
    'content-type': type,
    'cache-control': `public, max-age=${maxAgeSeconds}`,
    'access-control-allow-origin': '*',
    etag,
  };
  if (matchesEtag(request.headers['if-none-match'], etag)) return { status: 304, headers, body: '' };
  return { status: 200, headers, body: json };
}

/** What web servers append to the tag of an answer that they compress, inside the quotes: Apache `-gzip`, Jetty `--gzip`. */
const COMPRESSION_SUFFIXES = ['-gzip', '-br', '-zstd', '-deflate', '--gzip', '--br', ';gzip', ';br'];

/**
 * Whether an If-None-Match header matches the ETag, by weak comparison (RFC 9110 section 13.1.2): a proxy that compresses
 * weakens the tag (nginx), or appends the name of the coding.
 */
function matchesEtag(ifNoneMatch: string | undefined, etag: string): boolean {
  const accepted = new Set([
    '*',
    etag,
    ...COMPRESSION_SUFFIXES.map((suffix) => `${etag.slice(0, -1)}${suffix}"`),
  ]);
  // Not by a regular expression: white space before a comma would cost quadratic time.
  const tags = (ifNoneMatch ?? '').split(',').map((tag) => tag.trim());
  return tags.some((tag) => accepted.has(tag.startsWith('W/') ? tag.slice(2) : tag));
}

function readiness(_request: IncomingMessage, content: HttpContent): Answer {
  const reasons = content.unreadyReasons();
  return reasons.length === 0
    ? text(200, 'ready\n')
    : text(503, reasons.map((reason) => `${reason}\n`).join(''));
}

function metrics(_request: IncomingMessage, content: HttpContent): Answer {
  const headers = { 'content-type': EXPOSITION_TYPE, 'cache-control': 'no-store' };
  return { status: 200, headers, body: content.metrics() };
}

function text(status: number, body: string): Answer {
  return { status, headers: { 'cache-control': 'no-store' }, body };
}
