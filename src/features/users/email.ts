import type { FieldRule } from '../../domain/validation.ts';
import { Rejected } from '../../domain/rejection.ts';
import { isHostName } from '../../net/host-name.ts';

/** An e-mail address in its canonical form; only `canonicalEmail` makes one. */
export type Email = string & { readonly canonical: 'email' };

export type CanonicalEmail =
  { readonly ok: true; readonly email: Email } | { readonly ok: false; readonly description: string };

const MAX_BYTES = 254;
const MAX_LOCAL_BYTES = 64;

/** Printable ASCII without the space. */
const VISIBLE_ASCII = /^[\x21-\x7e]*$/;
/** RFC 5322 section 3.2.3, dot-atom: no quoted strings, no comments, no leading, trailing or double dot. */
const DOT_ATOM = /^[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/;

/**
 * Canonical form in which e-mail addresses are stored, looked up and compared; idempotent. Returns the canonical
 * address, or one line that says what to change.
 *
 * ASCII only, checked before the case is folded: Unicode folding maps U+212A (the Kelvin sign) to `k` and maps
 * dotted and dotless i by locale, so an attacker's address could become another user's. Internationalised domains are
 * accepted in their ASCII form (`xn--…`) only, because mapping them here would tie identities to the Unicode version of
 * the runtime. Nothing is trimmed. Dots and plus signs in the local part are significant, because mail hosts differ in
 * which of them they ignore.
 */
export function canonicalEmail(text: string): CanonicalEmail {
  if (text.length < 3 || text.length > MAX_BYTES) return refused(`must be 3 to ${MAX_BYTES} bytes long`);
  if (!VISIBLE_ASCII.test(text)) {
    return refused('must be ASCII without spaces; write an international domain in its xn-- form');
  }
  // The text is ASCII here, so only A-Z are folded.
  const folded = text.toLowerCase();
  const [local = '', domain, ...more] = folded.split('@');
  if (domain === undefined || more.length > 0) return refused('must have exactly one @');
  if (local.length > MAX_LOCAL_BYTES)
    return refused(`must have at most ${MAX_LOCAL_BYTES} bytes before the @`);
  if (!DOT_ATOM.test(local)) return refused('must have a plain mailbox name, without quotes, before the @');
  if (!isHostName(domain)) return refused('must have a domain name after the @');
  return { ok: true, email: folded as Email };
}

/** `canonicalEmail` as a field rule. */
export const emailAddress: FieldRule<string> = (value, field) => {
  const result = canonicalEmail(value);
  return result.ok ? [] : [{ field, description: result.description }];
};

/** Returns the canonical form of a request's `email`. @throws Rejected `field-invalid` */
export function requireEmail(text: string): Email {
  const result = canonicalEmail(text);
  if (result.ok) return result.email;
  const violations = [{ field: 'email', description: result.description }];
  throw new Rejected({ kind: 'field-invalid', violations });
}

function refused(description: string): CanonicalEmail {
  return { ok: false, description };
}
