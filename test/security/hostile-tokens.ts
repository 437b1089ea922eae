import type { TokenRefusalReason } from '../../src/domain/rejection.ts';
import { encode, forge, Specimen, type TokenSetting, type Segment } from './forge.ts';
import { claimClasses } from './hostile-claims.ts';
import { formClasses } from './hostile-form.ts';
import { headerClasses } from './hostile-headers.ts';
import { signatureClasses } from './hostile-signatures.ts';

/** One token that must be refused, with the expected refusal. */
export interface HostileToken {
  readonly name: string;
  /** The row of the requirements that it tests. */
  readonly row: string;
  readonly token: string;
  readonly expected: readonly TokenRefusalReason[];
}

/** A complete text, or a header or claims to put into the valid token. */
export type Variant = { readonly text: string } | { readonly header: Segment } | { readonly claims: Segment };

/** A class of attack: its name, its row, the expected answer, and its tokens. */
export interface HostileClass {
  readonly name: string;
  readonly row: string;
  readonly expected: readonly TokenRefusalReason[];
  variants(specimen: Specimen): Iterable<Variant>;
}

/** The refusals decided before the signature is checked, which are the answer with any signature. */
const beforeSignature: ReadonlySet<TokenRefusalReason> = new Set([
  'TOKEN_TOO_LARGE',
  'TOKEN_MALFORMED',
  'TOKEN_ALG_NOT_ALLOWED',
  'TOKEN_KEY_UNKNOWN',
  'TOKEN_TYPE_INVALID',
] satisfies TokenRefusalReason[]);

/**
 * Every hostile token of a setting. A changed header or changed claims occur twice: with the valid token's signature,
 * as an outsider has to do it, and, where the setting has the signing key, validly signed, so that the rule itself is
 * what refuses them.
 */
export function* hostileTokens(setting: TokenSetting): Generator<HostileToken, void, undefined> {
  const specimen = new Specimen(setting);
  for (const hostileClass of [...formClasses, ...headerClasses, ...claimClasses, ...signatureClasses]) {
    let number = 0;
    for (const variant of hostileClass.variants(specimen)) {
      const named = { name: `${hostileClass.name} #${++number}`, row: hostileClass.row };
      if ('text' in variant) {
        yield { ...named, token: variant.text, expected: hostileClass.expected };
        continue;
      }
      const { header = specimen.headerSegment, claims = specimen.claimsSegment } = encoded(variant);
      const early = hostileClass.expected.every((reason) => beforeSignature.has(reason));
      const expected = early ? hostileClass.expected : (['TOKEN_SIGNATURE_INVALID'] as const);
      const token = `${header}.${claims}.${specimen.signatureSegment}`;
      yield { ...named, name: `${named.name}, unsigned`, token, expected };
      if (setting.signingKey !== null) {
        const [headerBytes, claimsBytes] = [header, claims].map((segment) =>
          Buffer.from(segment, 'base64url'),
        );
        const signed = forge(setting.mode, headerBytes ?? '', claimsBytes ?? '', setting.signingKey);
        yield { ...named, name: `${named.name}, signed`, token: signed, expected: hostileClass.expected };
      }
    }
  }
}

/** The class of a token, and the way it is signed. */
export const classOf = ({ name }: HostileToken): string => name.replace(/ #\d+/, '');

/** One in so many of every class and way of signing, with the first: a sample of what other tests try in full. */
export function* someOfEachClass(
  tokens: Iterable<HostileToken>,
  oneIn: number,
): Generator<HostileToken, void, undefined> {
  const seen = new Map<string, number>();
  for (const token of tokens) {
    const number = seen.get(classOf(token)) ?? 0;
    seen.set(classOf(token), number + 1);
    if (number % oneIn === 0) yield token;
  }
}

function encoded(variant: Exclude<Variant, { text: string }>): { header?: string; claims?: string } {
  return 'header' in variant ? { header: encode(variant.header) } : { claims: encode(variant.claims) };
}
