import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';

import type { ListenAddress } from '../net/listen-address.ts';
import { ConnectionSlots, connectionLimitsFor } from '../net/connection-slots.ts';
import { limitedSource } from '../net/peer-address.ts';
import { clearStaleSocket } from '../net/unix-socket.ts';
import { HANDSHAKE_LIMIT_MS, type ServerTls } from '../net/tls/server-tls.ts';
import { EXPOSITION_TYPE } from '../observability/metrics/exposition.ts';
import { respondToClientError } from './client-error-response.ts';

/** What the HTTP listener tells. */
export interface HttpFacts {
  /** What the issuer publishes; null where somebody else is the issuer. */
  readonly publication: Publication | null;
  /** The reasons why this process should get no calls; none when it is ready. */
  unreadyReasons(): readonly string[];
  /** Numbers about this process, in the text format of Prometheus. */
  metrics(): string;
}

/** The issuer's keys, for verifiers. */
interface Publication {
  readonly issuer: string;
  /** Null while no keys are known yet. */
  jwks(): { json: string; etag: string; maxAgeSeconds: number } | null;
}

interface Answer {
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly body: string;
}

type Route = (request: IncomingMessage, facts: HttpFacts) => Answer;

type Routes = ReadonlyMap<string, Route>;

function routesOf({ publication }: HttpFacts): Routes {
  return new Map<string, Route>([
    ...(publication
      ? ([
          ['/.well-known/jwks.json', (request) => jwks(request, publication)],
          ['/.well-known/openid-configuration', () => openidConfiguration(publication)],
        ] satisfies [string, Route][])
      : []),
    ['/livez', () => text(200, 'ok\n')],
    ['/readyz', readiness],
    ['/metrics', metrics],
  ]);
}

const MAX_CONNECTIONS = 1_000;
/** What the system holds until it is looked at (511 by default): above it a caller has to try again, a second later. */
const BACKLOG = 4_096;
const noTrustedProxies: (address: string) => boolean = () => false;
/** Slow senders are looked for every second; Node would look every 30 s. */
const PARSER_LIMITS = { maxHeaderSize: 8_192, connectionsCheckingInterval: 1_000 };
const HEADERS_LIMIT_MS = 5_000;
/** Nothing sent and nothing read for so long ends a connection. */
const SILENCE_LIMIT_MS = 15_000;

/**
 * Key set, discovery, health and metrics for those who speak no gRPC. Everything is answered from memory. Under TLS no certificate is
 * asked of clients: what stands here is public, and those who fetch key sets or probe health have none to show.
 */
export class HttpServer {
  readonly #server: Server;
  readonly #slots: ConnectionSlots;

  /** @param tls null for plaintext */
  constructor(
    facts: HttpFacts,
    tls: ServerTls | null,
    { headersTimeoutMs = HEADERS_LIMIT_MS, isTrustedProxy = noTrustedProxies } = {},
  ) {
    const routes = routesOf(facts);
    // Nobody is in the middle of anything for long: what is asked is answered at once.
    this.#slots = new ConnectionSlots(
      connectionLimitsFor(MAX_CONNECTIONS),
      (socket) => limitedSource(socket, isTrustedProxy),
      {
        evictsServed: true,
      },
    );
    const serve = (request: IncomingMessage, response: ServerResponse) => {
      request.once('end', () => this.#slots.served(request.socket));
      respond(request, response, routes, facts);
    };
    this.#server = tls === null ? createServer(PARSER_LIMITS, serve) : secureServer(tls, serve);
    this.#server.setTimeout(SILENCE_LIMIT_MS);
    this.#server.headersTimeout = headersTimeoutMs;
    this.#server.requestTimeout = 10_000;
    this.#server.keepAliveTimeout = 5_000;
    this.#server.maxRequestsPerSocket = 1_000;
    this.#server.on('clientError', respondToClientError);
  }

  /** @returns the address that was bound, with the port that the system chose */
  async listen(address: ListenAddress): Promise<ListenAddress> {
    if (address.kind === 'unix') await clearStaleSocket(address.path);
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      const bound = () => {
        this.#server.off('error', reject);
        resolve();
      };
      if (address.kind === 'unix') this.#server.listen(address.path, bound);
      else this.#server.listen({ port: address.port, host: address.host, backlog: BACKLOG }, bound);
    });
    this.#slots.install(this.#server);
    if (address.kind === 'unix') return address;
    return { ...address, port: (this.#server.address() as AddressInfo).port };
  }

  /** How many connections were closed for want of room. */
  get closedConnections(): number {
    return this.#slots.closed;
  }

  async stop(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}

function secureServer(tls: ServerTls, serve: Parameters<typeof createServer>[1]): Server {
  const server = createTlsServer(
    { ...PARSER_LIMITS, ...tls.context, handshakeTimeout: HANDSHAKE_LIMIT_MS },
    serve,
  );
  tls.subscribe((context) => server.setSecureContext(context));
  return server;
}

function respond(request: IncomingMessage, response: ServerResponse, routes: Routes, facts: HttpFacts): void {
  const { status, headers, body } = answer(request, routes, facts);
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'x-content-type-options': 'nosniff',
    'content-length': Buffer.byteLength(body),
    ...headers,
  });
  response.end(request.method === 'HEAD' ? undefined : body);
  request.resume();
}

function answer(request: IncomingMessage, routes: Routes, facts: HttpFacts): Answer {
  const path = (request.url ?? '').split('?', 1)[0] ?? '';
  const route = routes.get(path);
  if (!route) return text(404, `nothing is served here; try ${[...routes.keys()].join(', ')}\n`);
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return { ...text(405, 'only GET and HEAD are allowed\n'), headers: { allow: 'GET, HEAD' } };
  }
  return route(request, facts);
}

function jwks(request: IncomingMessage, publication: Publication): Answer {
  const keySet = publication.jwks();
  // An empty set that may be kept would have its reader refuse every token until max-age is over.
  if (keySet === null) {
    const unknown = text(503, 'the keys are not loaded yet; retry in a second\n');
    return { ...unknown, headers: { ...unknown.headers, 'retry-after': '1' } };
  }
  const { json, etag, maxAgeSeconds } = keySet;
  const headers = {
    'content-type': 'application/jwk-set+json',
    'cache-control': `public, max-age=${maxAgeSeconds}`,
    'access-control-allow-origin': '*',
    etag,
  };
  if (namesTag(request.headers['if-none-match'], etag)) return { status: 304, headers, body: '' };
  return { status: 200, headers, body: json };
}

/** Whether an If-None-Match names a tag or any (RFC 9110 section 13.1.2: a proxy may have made the tag a weak one). */
function namesTag(ifNoneMatch: string | undefined, etag: string): boolean {
  // Cut and trimmed, each in one walk: white space matched before a comma is walked once for each place it may begin at.
  const named = (ifNoneMatch ?? '').split(',').map((tag) => tag.trim());
  return named.some((tag) => tag === '*' || tag === etag || tag === `W/${etag}`);
}

/** The members of OpenID Connect Discovery that verifiers read; Postern is not an OpenID provider. */
function openidConfiguration({ issuer }: Publication): Answer {
  return {
    status: 200,
    headers: { 'content-type': 'application/json', 'access-control-allow-origin': '*' },
    body: JSON.stringify({ issuer, jwks_uri: `${issuer.replace(/\/$/, '')}/.well-known/jwks.json` }),
  };
}

function readiness(_request: IncomingMessage, facts: HttpFacts): Answer {
  const reasons = facts.unreadyReasons();
  return reasons.length === 0
    ? text(200, 'ready\n')
    : text(503, reasons.map((reason) => `${reason}\n`).join(''));
}

function metrics(_request: IncomingMessage, facts: HttpFacts): Answer {
  const headers = { 'content-type': EXPOSITION_TYPE, 'cache-control': 'no-store' };
  return { status: 200, headers, body: facts.metrics() };
}

function text(status: number, body: string): Answer {
  return { status, headers: { 'cache-control': 'no-store' }, body };
}
