import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

import { EXPOSITION_TYPE } from '../observability/metrics/exposition.ts';
import { OPEN_METRICS_TYPE, prefersOpenMetrics } from '../observability/metrics/open-metrics.ts';
import { type Answer, text } from './answer.ts';

/** What the HTTP listener serves from memory. */
export interface HttpContent {
  /** Key set and discovery of the issuer; null in a process that is not the issuer, such as a sidecar. */
  readonly publication: Publication | null;
  /** The reasons why this process should not receive calls; empty when it is ready. */
  unreadyReasons(): readonly string[];
  /** The reasons why this process should not be asked to verify tokens, which needs no database; empty when it can. */
  verificationFaults(): readonly string[];
  /** The metrics in the text format of Prometheus; null on a listener that does not serve them. */
  readonly metrics: (() => string) | null;
  /** The same in that of OpenMetrics; absent where only the first is served. */
  readonly openMetrics?: () => string;
}

/** The public keys of the issuer, for verifiers. */
export interface Publication {
  readonly jwksPaths: readonly string[];
  readonly metadataPaths: readonly string[];
  /** The members of the discovery documents, for the algorithms of the published keys. */
  metadata(algorithms: readonly string[]): Readonly<Record<string, unknown>>;
  /** Null until keys are loaded. */
  jwks(): { json: string; etag: string; algorithms: readonly string[]; maxAgeSeconds: number } | null;
}

/** What is served at a path from memory, for GET and HEAD. */
export type Document = (request: IncomingMessage) => Answer;

/** Web pages that are served from memory. */
export interface Pages {
  /** Where they begin, such as `/console/`. */
  readonly path: string;
  /** What is at a path, for every method; undefined where the path is not below theirs. */
  find(path: string): Document | undefined;
}

/** The documents by their paths. */
export function publishedDocuments(content: HttpContent): ReadonlyMap<string, Document> {
  const { publication, metrics } = content;
  return new Map<string, Document>([
    ...(publication
      ? ([
          ...publication.jwksPaths.map((path): [string, Document] => [
            path,
            (request) => jwks(request, publication),
          ]),
          ...publication.metadataPaths.map((path): [string, Document] => [
            path,
            (request) => metadata(request, publication),
          ]),
        ] satisfies [string, Document][])
      : []),
    ['/livez', () => text(200, 'ok\n')],
    ['/readyz', () => readiness(content.unreadyReasons())],
    ['/readyz/verification', () => readiness(content.verificationFaults())],
    ...(metrics
      ? [
          ['/metrics', (request) => exposition(request, metrics, content.openMetrics)] satisfies [
            string,
            Document,
          ],
        ]
      : []),
  ]);
}

function jwks(request: IncomingMessage, publication: Publication): Answer {
  const keySet = publication.jwks();
  if (keySet === null) return keysUnknown();
  return cacheable(request, { ...keySet, type: 'application/jwk-set+json' });
}

function metadata(request: IncomingMessage, publication: Publication): Answer {
  const keySet = publication.jwks();
  // A verifier keeps this document for its lifetime, so it must not see one without the algorithms.
  if (keySet === null) return keysUnknown();
  const { algorithms, maxAgeSeconds } = keySet;
  const json = JSON.stringify(publication.metadata(algorithms));
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
export function matchesEtag(ifNoneMatch: string | undefined, etag: string): boolean {
  const accepted = new Set([
    '*',
    etag,
    ...COMPRESSION_SUFFIXES.map((suffix) => `${etag.slice(0, -1)}${suffix}"`),
  ]);
  // Not by a regular expression: white space before a comma would cost quadratic time.
  const tags = (ifNoneMatch ?? '').split(',').map((tag) => tag.trim());
  return tags.some((tag) => accepted.has(tag.startsWith('W/') ? tag.slice(2) : tag));
}

function readiness(reasons: readonly string[]): Answer {
  return reasons.length === 0
    ? text(200, 'ready\n')
    : text(503, reasons.map((reason) => `${reason}\n`).join(''));
}

function exposition(
  { headers }: IncomingMessage,
  metrics: () => string,
  openMetrics: (() => string) | undefined,
): Answer {
  const preferred = prefersOpenMetrics(headers.accept) ? openMetrics : undefined;
  return {
    status: 200,
    headers: {
      'content-type': preferred ? OPEN_METRICS_TYPE : EXPOSITION_TYPE,
      'cache-control': 'no-store',
      vary: 'accept',
    },
    body: (preferred ?? metrics)(),
  };
}
