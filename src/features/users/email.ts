import type { FieldRule } from '../../domain/validation.ts';
import { Rejected } from '../../domain/rejection.ts';
import { isHostName } from '../../net/host-name.ts';
import { asciiHostName } from '../../net/international-domain.ts';

/** An e-mail address in its canonical form; only `canonicalEmail` makes one. */
export type Email = string & { readonly canonical: 'email' };

export type CanonicalEmail =
  { readonly ok: true; readonly email: Email } | { readonly ok: false; readonly description: string };

const MIN_BYTES = 3;
const MAX_BYTES = 254;
const MAX_LOCAL_BYTES = 64;
/** A domain may be longer in Unicode than in ASCII. Beyond this no address has a canonical form, and none is searched for. */
const MAX_LENGTH = 4 * MAX_BYTES;

/** Printable ASCII without the space. */
const VISIBLE_ASCII = /^[\x21-\x7e]*$/;
/**
 * The atoms of RFC 5322 section 3.2.3 with dots anywhere, as browsers take it (HTML, "valid e-mail address"): some carriers
 * gave out mailboxes with two dots in a row or one before the @. No quoted strings and no comments.
 */
const MAILBOX = /^[a-z0-9.!#$%&'*+/=?^_`{|}~-]+$/;

/**
 * Canonical form in which e-mail addresses are stored, looked up, compared and shown; idempotent. Returns the canonical
 * address, which is ASCII in lower case, or one line that says what to change.
 *
 * Before the @ ASCII only, checked before the case is folded: Unicode folding maps U+212A (the Kelvin sign) to `k` and maps
 * dotted and dotless i by locale, so an attacker's address could become another user's. A domain may be written in
 * Unicode and becomes its `xn--` form, by which two domains that look alike can be told apart (`asciiHostName`). Nothing is
 * trimmed. Dots and plus signs in the local part are significant, because mail hosts differ in which of them they
 * ignore. (L08)
 */
export function canonicalEmail(text: string): CanonicalEmail {
  const sizeFault = refused(`must be ${MIN_BYTES} to ${MAX_BYTES} bytes long`);
  if (text.length < MIN_BYTES || text.length > MAX_LENGTH) return sizeFault;
  const [local = '', written, ...more] = text.split('@');
  if (written === undefined || more.length > 0) return refused('must have exactly one @');
  if (!VISIBLE_ASCII.test(local)) return refused('must be ASCII without spaces before the @');
  if (local.length > MAX_LOCAL_BYTES)
    return refused(`must have at most ${MAX_LOCAL_BYTES} bytes before the @`);
  // The text is ASCII here, so only A-Z are folded.
  const mailbox = local.toLowerCase();
  if (!MAILBOX.test(mailbox)) return refused('must have a plain mailbox name, without quotes, before the @');
  const domain = VISIBLE_ASCII.test(written) ? written.toLowerCase() : asciiHostName(written);
  if (domain === null) return refused('must have a valid domain after the @; try its xn-- form');
  if (mailbox.length + 1 + domain.length > MAX_BYTES) return sizeFault;
  if (!isHostName(domain)) return refused('must have a domain name after the @');
  return { ok: true, email: `${mailbox}@${domain}` as Email };
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
