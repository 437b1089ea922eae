import { readdirSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

import { type Answer, text } from '../answer.ts';
import type { Document } from '../published-documents.ts';

/** What `npm run build` makes of `console/`, seen from the source, from its compiled modules, and from the bundle. */
const FOLDER = new URL(
  import.meta.url.replace(
    /(?:src\/http\/console|dist\/http\/console|dist\/command)\/[^/]+$/,
    'dist/console/',
  ),
);
const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
};
/** Nothing inline, nothing from elsewhere, and no text becomes HTML but by the templates of lit-html (Trusted Types). */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  'trusted-types lit-html',
].join('; ');
const HEADERS = {
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'permissions-policy': 'publickey-credentials-get=(self), publickey-credentials-create=(self)',
  vary: 'accept-encoding',
};

/**
 * The files of the console by their paths, held in memory. All but the page itself have a hash of their content in their
 * name, so browsers keep them.
 */
export function consoleDocuments(folder: URL = FOLDER): ReadonlyMap<string, Document> {
  const documents = new Map<string, Document>();
  for (const name of readdirSync(folder)) {
    const type = TYPES[name.slice(name.lastIndexOf('.') + 1)];
    if (type === undefined) continue;
    const isPage = name === 'index.html';
    const body = readFileSync(new URL(name, folder));
    const compressed = gzipSync(body, { level: 9 });
    const headers = {
      ...HEADERS,
      'content-type': type,
      'cache-control': isPage ? 'no-cache' : 'public, max-age=31536000, immutable',
    };
    documents.set(`/console/${isPage ? '' : name}`, (request): Answer =>
      /\bgzip\b/.test(request.headers['accept-encoding'] ?? '')
        ? { status: 200, headers: { ...headers, 'content-encoding': 'gzip' }, body: compressed }
        : { status: 200, headers, body },
    );
  }
  documents.set('/console', () => ({ ...text(308, ''), headers: { location: '/console/' } }));
  return documents;
}
