import { readFile } from 'node:fs/promises';

import { decodeText } from '../../domain/decode-text.ts';
import type { Network } from '../../net/cidr.ts';
import { GetRefused, safeGet, type SafeGetOptions } from '../../net/safe-get.ts';
import { type OutsideKey, readOutsideKeySet } from '../../tokens/verify/outside-key.ts';
import { parseStrictJson } from '../../tokens/verify/strict-json.ts';
import { KeyRefused } from '../../tokens/verify/verification-key.ts';
import { cacheTimes } from '../../trust/jwks-trust-source.ts';
import type { TrustedIssuer } from './trusted-issuer.ts';

export interface FetchedKeys {
  readonly keys: readonly OutsideKey[];
  /** For how long the issuer lets the set be kept, ms. */
  readonly maxAgeMs: number;
}

/** Why the keys of an issuer cannot be had; the message is for operators. */
export class IssuerKeysFault extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'IssuerKeysFault';
  }
}

/** Kubernetes answers 406 to anything else. */
const ACCEPT = 'application/jwk-set+json, application/json';
/** Three segments: neither a password nor a key, which may be mounted beside, is sent to a server that an administrator names. */
const COMPACT_JWS = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/** How `fetchIssuerKeys` reaches servers. */
export type KeyFetching = Pick<SafeGetOptions, 'lookup' | 'limitMs'> & {
  readonly networks: readonly Network[];
};

/**
 * Fetches the keys of an issuer: from its discovery document, whose `jwks_uri` must have the origin of the issuer, or from
 * the URL that an administrator gave.
 *
 * @throws IssuerKeysFault
 */
export async function fetchIssuerKeys(
  { issuer, keys: source }: Pick<TrustedIssuer, 'issuer' | 'keys'>,
  fetching: KeyFetching,
): Promise<FetchedKeys> {
  try {
    const caPem = source.caPem === '' ? null : source.caPem;
    const bearer = source.bearerFile === '' ? null : await readBearer(source.bearerFile);
    const get = (url: URL) => safeGet(url, { ...fetching, caPem, bearer, accept: ACCEPT });
    const url = source.from === 'url' ? new URL(source.jwksUrl) : await discover(issuer, get);
    const { body, cacheControl, age } = await get(url);
    const headers = new Headers({ 'cache-control': cacheControl, age });
    return { keys: readOutsideKeySet(decodeText(body)), maxAgeMs: cacheTimes(headers).maxAgeMs };
  } catch (cause) {
    if (cause instanceof IssuerKeysFault) throw cause;
    const isKnown = cause instanceof GetRefused || cause instanceof KeyRefused;
    throw new IssuerKeysFault(isKnown ? cause.message : 'the answer of the server is not a key set', {
      cause,
    });
  }
}

async function discover(issuer: string, get: (url: URL) => Promise<{ body: Buffer }>): Promise<URL> {
  const { body } = await get(new URL(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`));
  const document = parseStrictJson(decodeText(body));
  if (document === null) throw new IssuerKeysFault('the discovery document is not a JSON object');
  const { issuer: named, jwks_uri: uri } = document;
  if (named !== issuer) throw new IssuerKeysFault('the discovery document is that of another issuer');
  if (typeof uri !== 'string' || !URL.canParse(uri))
    throw new IssuerKeysFault('the discovery document has no jwks_uri');
  const url = new URL(uri);
  if (url.origin !== new URL(issuer).origin)
    throw new IssuerKeysFault(
      'jwks_uri of the discovery document has another origin than the issuer; give it as the URL of the keys if it is right',
    );
  return url;
}

async function readBearer(path: string): Promise<string> {
  let text: string;
  try {
    text = (await readFile(path, 'utf8')).trim();
  } catch (cause) {
    throw new IssuerKeysFault(
      `the bearer file cannot be read (${(cause as NodeJS.ErrnoException).code ?? 'unknown'})`,
      { cause },
    );
  }
  if (text.length > 16_384 || !COMPACT_JWS.test(text))
    throw new IssuerKeysFault('the bearer file does not contain a token');
  return text;
}
