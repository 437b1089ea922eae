import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { gzipSync } from 'node:zlib';

import { NotInstalled } from '../../domain/not-installed.ts';
import { type Answer, methodNotAllowed, text } from '../answer.ts';
import type { HostCheck } from '../host-check.ts';
import { matchesEtag, type Pages } from '../published-documents.ts';

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
/**
 * What every answer below `/console` has. HSTS is left to the proxy or the operator: it would hold for the whole host, and on
 * `localhost` for the programs of all ports.
 */
export const CONSOLE_HEADERS = {
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'permissions-policy': 'publickey-credentials-get=(self), publickey-credentials-create=(self)',
};

const PAGE = 'index.html';
const PATH = '/console/';

/**
 * The files of the console, held in memory. All but the page itself have a hash of their content in their name, so browsers
 * keep them.
 *
 * @throws NotInstalled when the console was not built
 */
export function consolePages(hosts: HostCheck, folder: URL = FOLDER): Pages {
  const files = readFiles(folder);
  const answerAt = (path: string, request: IncomingMessage): Answer => {
    const fault = hosts(request);
    if (fault) return text(fault.status, `${fault.description}\n`);
    if (request.method !== 'GET' && request.method !== 'HEAD') return methodNotAllowed(['GET', 'HEAD']);
    // Relative, because a proxy may serve Postern below a path of its own.
    if (path === '/console')
      return { status: 308, headers: { location: 'console/', 'cache-control': 'no-store' }, body: '' };
    const file = files.get(path.slice(PATH.length) || PAGE);
    return file
      ? answerWith(file, request)
      : text(404, `nothing is served here; the console is at ${PATH}\n`);
  };
  return {
    path: PATH,
    find(path) {
      if (path !== '/console' && !path.startsWith(PATH)) return undefined;
      return (request) => {
        const answer = answerAt(path, request);
        return { ...answer, headers: { ...CONSOLE_HEADERS, ...answer.headers } };
      };
    },
  };
}

interface File {
  readonly type: string;
  readonly cacheControl: string;
  readonly etag: string;
  readonly plain: Buffer;
  readonly compressed: Buffer;
}

function readFiles(folder: URL): ReadonlyMap<string, File> {
  const files = new Map<string, File>();
  try {
    for (const name of readdirSync(folder)) {
      const type = TYPES[name.slice(name.lastIndexOf('.') + 1)];
      if (type === undefined) continue;
      const plain = readFileSync(new URL(name, folder));
      files.set(name, {
        type,
        cacheControl: name === PAGE ? 'no-cache' : 'public, max-age=31536000, immutable',
        etag: `"${createHash('sha256').update(plain).digest('base64url')}"`,
        plain,
        compressed: gzipSync(plain, { level: 9 }),
      });
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  if (!files.has(PAGE))
    throw new NotInstalled(
      'the files of the console are missing',
      'Run npm run build, or set POSTERN_CONSOLE=off.',
    );
  return files;
}

function answerWith(file: File, { headers: sent }: IncomingMessage): Answer {
  const headers = {
    'content-type': file.type,
    'cache-control': file.cacheControl,
    // Weak, because it stands for both codings.
    etag: `W/${file.etag}`,
    vary: 'accept-encoding',
  };
  if (matchesEtag(sent['if-none-match'], file.etag)) return { status: 304, headers, body: '' };
  return acceptsGzip(sent['accept-encoding'])
    ? { status: 200, headers: { ...headers, 'content-encoding': 'gzip' }, body: file.compressed }
    : { status: 200, headers, body: file.plain };
}

/** Whether a client takes gzip (RFC 9110 section 12.5.3); a weight of 0 refuses it. */
function acceptsGzip(acceptEncoding: string | string[] | undefined): boolean {
  const codings = String(acceptEncoding ?? '').split(',');
  return codings.some((coding) => {
    const [name = '', ...parameters] = coding.split(';').map((part) => part.trim());
    return (
      name.toLowerCase() === 'gzip' && !parameters.some((parameter) => /^q=0(?:\.0*)?$/i.test(parameter))
    );
  });
}
