import type { TokenRefusalReason } from '../../src/domain/rejection.ts';
import { encode, forge, json, signatureOf, Specimen, type TokenSetting } from '../../test/security/forge.ts';
import type { VerifierUnderTest } from '../../test/security/verifier-under-test.ts';

/** A token at the edge of a rule, and why it must be refused; null when it must be accepted. */
export interface BoundaryToken {
  readonly name: string;
  readonly row: string;
  readonly token: string;
  readonly expected: TokenRefusalReason | null;
}

const KEY = '\u{1f511}';
/** The deepest nesting of claims, the object of the claims included. */
const MAX_DEPTH = 16;

/**
 * Validly signed tokens on either side of each limit. A verifier that counts bytes or characters instead of UTF-16 code
 * units, or has `>` for `>=`, differs from the others here alone.
 */
export function* boundaryTokens(
  subject: VerifierUnderTest,
  setting: TokenSetting,
): Generator<BoundaryToken, void, undefined> {
  const specimen = new Specimen(setting);
  const { mode, header } = specimen;
  const { nowSeconds: now } = setting;
  const { skewSeconds: skew } = subject.policy;
  const sign = (headerText: string, claimsText: string) =>
    forge(mode, headerText, claimsText, subject.signingKey);
  const withClaims = (changes: object) => sign(json(header), specimen.claimsWith({ ...changes }));
  const withText = (name: string, text: string) => sign(json(header), specimen.claimsWithText(name, text));
  const withKid = (kid: string) => sign(specimen.headerWith({ kid }), json(specimen.claims));

  const times: readonly [string, object, TokenRefusalReason | null][] = [
    ['exp at the end of the clock skew', { exp: now - skew }, 'TOKEN_EXPIRED'],
    ['exp with a fraction, at the end of the clock skew', { exp: now - skew + 0.9 }, 'TOKEN_EXPIRED'],
    ['exp a second before that', { exp: now - skew + 1 }, null],
    ['iat ahead by the clock skew', { iat: now + skew }, null],
    ['iat ahead by more', { iat: now + skew + 0.5 }, 'TOKEN_NOT_YET_VALID'],
    ['nbf ahead by the clock skew', { nbf: now + skew }, null],
    ['nbf ahead by more', { nbf: now + skew + 0.5 }, 'TOKEN_NOT_YET_VALID'],
  ];
  for (const [name, changes, expected] of times)
    yield { name, row: 'T17', token: withClaims(changes), expected };

  yield {
    name: 'an id of 258 UTF-16 code units',
    row: 'T19',
    token: withClaims({ sub: KEY.repeat(129) }),
    expected: 'TOKEN_CLAIMS_INVALID',
  };
  for (const text of ['\\udc00\\udc00', '\\ud83d\\ud83d\\udd11', '\\udd11\\ud83d'])
    yield {
      name: `surrogates without a partner, ${text}`,
      row: 'T19',
      token: withText('sub', `"${text}"`),
      expected: 'TOKEN_CLAIMS_INVALID',
    };
  yield {
    name: 'a kid of 100 UTF-16 code units and 200 bytes',
    row: 'T05',
    token: withKid('\u00e9'.repeat(100)),
    expected: 'TOKEN_KEY_UNKNOWN',
  };
  yield {
    name: 'a kid of 130 UTF-16 code units and 65 characters',
    row: 'T05',
    token: withKid(KEY.repeat(65)),
    expected: 'TOKEN_MALFORMED',
  };
  for (const [open, close] of [
    ['[', ']'],
    ['{"a":', '}'],
  ] as const) {
    const nested = (depth: number) => `${open.repeat(depth)}0${close.repeat(depth)}`;
    yield {
      name: `claims nested as deep as is allowed, ${open}`,
      row: 'T03',
      token: withText('x', nested(MAX_DEPTH - 1)),
      expected: null,
    };
    yield {
      name: `claims nested deeper by one, ${open}`,
      row: 'T03',
      token: withText('x', nested(MAX_DEPTH)),
      expected: 'TOKEN_MALFORMED',
    };
  }
  for (const part of ['header', 'claims'] as const) {
    for (const length of [2, 3]) {
      yield {
        name: `unused bits in the ${part}, ${length} characters in the last group`,
        row: 'T03',
        token: withUnusedBits(subject, specimen, part, length),
        expected: 'TOKEN_MALFORMED',
      };
    }
  }
}

/** A token whose text was signed as it is, with a bit set that base64 decoders drop. */
function withUnusedBits(
  subject: VerifierUnderTest,
  specimen: Specimen,
  part: 'header' | 'claims',
  lastGroup: number,
): string {
  let text = json(specimen[part]);
  while (encode(text).length % 4 !== lastGroup) text += ' ';
  const segment = encode(text);
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const changed = segment.slice(0, -1) + alphabet.charAt(alphabet.indexOf(segment.slice(-1)) + 1);
  const input =
    part === 'header' ? `${changed}.${specimen.claimsSegment}` : `${specimen.headerSegment}.${changed}`;
  return `${input}.${encode(signatureOf(specimen.mode, input, subject.signingKey))}`;
}
