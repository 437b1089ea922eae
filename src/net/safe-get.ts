import { lookup as resolve } from 'node:dns';
import { request } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';

import { withTimeout } from '../domain/concurrency/timeout.ts';
import { networkMatcher, type Network } from './cidr.ts';
import { isPublicAddress } from './public-address.ts';

/** Why a document was not fetched, in words for operators. Contains nothing that the server has sent. */
export class GetRefused extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'GetRefused';
  }
}

export interface SafeGetOptions {
  /** The ranges that may be connected to beside the public internet. */
  readonly networks: readonly Network[];
  /** The certificates that the server is verified by, PEM; null for those that Node.js trusts. */
  readonly caPem: string | null;
  /** A bearer token for the server; null for none. */
  readonly bearer: string | null;
  readonly accept: string;
  readonly limitMs?: number;
  readonly maxBytes?: number;
  /** Resolves names; that of Node.js by default. */
  readonly lookup?: LookupFunction;
}

export interface SafeDownload {
  readonly body: Buffer;
  /** The values of `cache-control` and `age`, empty when absent. */
  readonly cacheControl: string;
  readonly age: string;
}

const LIMIT_MS = 3_000;
const MAX_BYTES = 256 * 1024;

/** What is wrong with a URL that `safeGet` is to fetch, as the end of the sentence "must be …"; null when nothing is. */
export function unsafeUrlFault(text: string): string | null {
  if (!URL.canParse(text)) return 'an https URL';
  const { protocol, username, password, hash } = new URL(text);
  if (protocol !== 'https:') return 'an https URL';
  if (username !== '' || password !== '') return 'an https URL without a user name and a password';
  return hash === '' ? null : 'an https URL without a fragment';
}

/**
 * Fetches a document from a server that an administrator has named, but that must not be able to reach into the network of
 * this process (server-side request forgery). Unlike `download`, whose URL is a setting of the process:
 *
 * - https only, no user name or password, no redirect, no compression, a connection of its own
 * - every address is checked where it is connected to, in the look-up of the connection itself: a name that resolves to a
 *   public address first and to a private one afterwards (DNS rebinding) gains nothing
 * - 3 seconds and 256 KiB for all of it
 *
 * @throws GetRefused
 */
export async function safeGet(url: URL, options: SafeGetOptions): Promise<SafeDownload> {
  const fault = unsafeUrlFault(url.href);
  if (fault !== null) throw new GetRefused(`the URL must be ${fault}`);
  const isOpened = networkMatcher(options.networks);
  const isAllowed = (address: string) => isPublicAddress(address) || isOpened(address);
  // The URL parser has turned 0x7f000001, 2130706433 and the like into 127.0.0.1. Addresses are connected to without a look-up.
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) !== 0 && !isAllowed(host)) throw forbidden();
  const { limitMs = LIMIT_MS } = options;
  let abort: () => void = () => undefined;
  const get = new Promise<SafeDownload>((done, fail) => {
    abort = start(url, { ...options, isAllowed }, done, fail);
  });
  // A failure after the time limit has nobody to tell.
  get.catch(() => undefined);
  return withTimeout(get, limitMs, () => {
    abort();
    throw new GetRefused(`the server did not answer in full within ${limitMs / 1000} seconds`);
  });
}

/** Sends the request. @returns a function that ends it */
function start(
  url: URL,
  options: SafeGetOptions & { readonly isAllowed: (address: string) => boolean },
  done: (download: SafeDownload) => void,
  fail: (error: Error) => void,
): () => void {
  const { caPem, bearer, accept, maxBytes = MAX_BYTES, isAllowed, lookup = resolve } = options;
  const sent = request(url, {
    agent: false,
    headers: {
      accept,
      'accept-encoding': 'identity',
      'user-agent': 'postern',
      ...(bearer !== null && { authorization: `Bearer ${bearer}` }),
    },
    lookup: checkedLookup(lookup, isAllowed),
    ...(caPem !== null && { ca: caPem }),
  });
  const end = (error: Error) => {
    fail(error);
    sent.destroy();
  };
  sent.on('error', (error: NodeJS.ErrnoException) =>
    fail(
      error instanceof GetRefused
        ? error
        : new GetRefused(`the connection failed (${error.code ?? 'no answer'})`, { cause: error }),
    ),
  );
  sent.on('response', (response) => {
    const { statusCode = 0, headers } = response;
    if (statusCode >= 300 && statusCode < 400) {
      end(new GetRefused(`the server answered with a redirect (${statusCode}), which is not followed`));
      return;
    }
    if (statusCode !== 200) {
      end(new GetRefused(`the server answered with status ${statusCode}`));
      return;
    }
    const chunks: Buffer[] = [];
    let bytes = 0;
    response.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > maxBytes) end(new GetRefused(`the server answered with more than ${maxBytes / 1024} KiB`));
      else chunks.push(chunk);
    });
    response.on('error', () => fail(new GetRefused('the server ended the connection within its answer')));
    response.on('end', () =>
      done({
        body: Buffer.concat(chunks),
        cacheControl: headers['cache-control'] ?? '',
        age: headers.age ?? '',
      }),
    );
  });
  sent.end();
  return () => sent.destroy();
}

/** Fails when one of the addresses of a name is not allowed: a name with a public and a private address is no mistake to work around. */
function checkedLookup(lookup: LookupFunction, isAllowed: (address: string) => boolean): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error) {
        callback(error, []);
        return;
      }
      const addresses = Array.isArray(found) ? found : [{ address: found, family: isIP(found) }];
      const [first] = addresses;
      if (first === undefined || !addresses.every(({ address }) => isAllowed(address))) {
        callback(forbidden(), []);
        return;
      }
      if (options.all === true) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}

function forbidden(): GetRefused {
  return new GetRefused(
    'its address is not on the public internet; if it should be used, list its network in POSTERN_ISSUER_NETWORKS',
  );
}
