import { readBearerToken } from '../../src/tokens/bearer-token.ts';
import type { BearerVector } from './vectors.ts';

const HEADERS: readonly (readonly string[])[] = [
  ['Bearer a.b-c_d~e+f/g=='],
  ['bEARER a'],
  [],
  [''],
  [' '],
  ['Basic YTpi'],
  ['Bearer'],
  ['Bearer '],
  ['Bearer \t '],
  ['Bearers a'],
  [' Bearer a'],
  ['Bearer  a'],
  ['Bearer\ta'],
  ['Bearer a '],
  ['Bearer a b'],
  ['Bearer a=b'],
  ['Bearer a\n'],
  ['Bearer \u00e9'],
  ['Bearer a', 'Bearer a'],
  ['Basic YTpi', 'Bearer a'],
  ['', 'Bearer a'],
  [' ', ''],
  ['Bearer a', ''],
];

/** How the authorization headers of a request are read (RFC 6750 section 2.1). */
export function bearerVectors(): readonly BearerVector[] {
  return HEADERS.map((values) => {
    const read = readBearerToken(values);
    return { values, kind: read.kind, ...(read.kind === 'token' && { token: read.token }) };
  });
}
