import type { IssuerKeys } from '../../../../src/generated/postern/v1/admin.ts';
import type { Wire } from '../../wire.ts';

/** Where the keys of an issuer come from, as a form holds it. */
export interface KeySource {
  from: 'discovery' | 'url' | 'static';
  jwksUrl: string;
  staticJwks: string;
  caPem: string;
  bearerFile: string;
}

export const discovery: KeySource = {
  from: 'discovery',
  jwksUrl: '',
  staticJwks: '',
  caPem: '',
  bearerFile: '',
};

export function keySourceOf({ jwksUrl = '', staticJwks = '', ...keys }: Wire<IssuerKeys> = {}): KeySource {
  const from = jwksUrl !== '' ? 'url' : staticJwks !== '' ? 'static' : 'discovery';
  return { from, jwksUrl, staticJwks, caPem: keys.caPem ?? '', bearerFile: keys.bearerFile ?? '' };
}

/** Only what belongs to the chosen source: a form keeps what was entered for another one. */
export function keysOf({ from, jwksUrl, staticJwks, caPem, bearerFile }: KeySource): Wire<IssuerKeys> {
  if (from === 'static') return { staticJwks: staticJwks.trim() };
  return {
    ...(from === 'url' && { jwksUrl: jwksUrl.trim() }),
    ...(caPem.trim() !== '' && { caPem: caPem.trim() }),
    ...(bearerFile.trim() !== '' && { bearerFile: bearerFile.trim() }),
  };
}

/** The ids of the keys of a key set; those without one by their place. */
export function keyIdsOf(jwks: string): string[] {
  try {
    const { keys = [] } = JSON.parse(jwks) as { keys?: readonly { kid?: unknown }[] };
    return keys.map(({ kid }, index) => (typeof kid === 'string' ? kid : `key ${index + 1}, without an id`));
  } catch {
    return [];
  }
}
