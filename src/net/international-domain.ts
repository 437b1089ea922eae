import { domainToASCII, domainToUnicode } from 'node:url';

const ASCII = /^[\x21-\x7e]*$/;
/** Soft hyphens, joiners, variation selectors and the like: nobody sees them. */
const INVISIBLE = /\p{Default_Ignorable_Code_Point}/u;

/**
 * The ASCII form of a domain that is written in Unicode: each label outside ASCII in its `xn--` form (UTS 46,
 * non-transitional; RFC 5891), the others in lower case. Null when a label has none. Whether the result is a host name is
 * not checked.
 *
 * Only case and normalisation (NFC) are folded. UTS 46 would map more: fullwidth letters, ligatures and the Kelvin sign to
 * ASCII letters, soft hyphens to nothing. Such labels are refused, so that nothing that is spelt otherwise becomes
 * another's domain. UTS 46 thus only decides whether a label is valid: under another version of Unicode a label may be
 * refused, but never gets another ASCII form. Invisible characters are refused too, also where a script has a use for
 * them: the domain can be written in its `xn--` form.
 */
export function asciiHostName(domain: string): string | null {
  const labels = domain
    .split('.')
    .map((label) => (ASCII.test(label) ? label.toLowerCase() : asciiLabel(label)));
  return labels.includes(null) ? null : labels.join('.');
}

function asciiLabel(label: string): string | null {
  if (!label.isWellFormed() || INVISIBLE.test(label)) return null;
  // Letter by letter, as UTS 46 does: for a whole word the small final sigma would depend on its place.
  const folded = Array.from(label.normalize('NFC'), (character) => character.toLowerCase())
    .join('')
    .normalize('NFC');
  const ascii = domainToASCII(folded);
  return ascii.startsWith('xn--') && domainToUnicode(ascii) === folded ? ascii : null;
}
