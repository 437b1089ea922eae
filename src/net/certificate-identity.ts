import { type AccessClass, ADMIN_ROLE, type Caller } from '../domain/caller.ts';
import { Rejected } from '../domain/rejection.ts';

/** The certificate names that may call without a token: URIs and DNS names, compared exactly. */
export interface ClientIdentities {
  readonly service: readonly string[];
  readonly admin: readonly string[];
}

/** Maximum length of a name in the settings and in the audit trail. */
const MAX_NAME_LENGTH = 256;
const URI = /^[a-z][a-z0-9+.-]*:[\x21-\x7e]+$/i;
const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;

/**
 * Parses a name: a URI (recognised by its colon, which no DNS name has) is returned unchanged, a DNS name in lower case.
 * Null for anything else. Wildcards are refused because they do not identify a caller. Commas and quotes are refused
 * because they separate names in the setting and in Node's subjectAltName.
 */
export function readClientName(text: string): string | null {
  if (text.length > MAX_NAME_LENGTH || /[,"]/.test(text)) return null;
  if (text.includes(':')) return URI.test(text) ? text : null;
  const name = text.toLowerCase();
  return name.split('.').every((label) => LABEL.test(label)) ? name : null;
}

/**
 * The URIs and DNS names of a certificate, from its subjectAltName. Names that `readClientName` refuses are skipped.
 */
export function clientNamesOf(subjectAltName: string): string[] {
  return alternativeNamesOf(subjectAltName).flatMap(([kind, text]) => {
    if (kind !== 'URI' && kind !== 'DNS') return [];
    const name = readClientName(text);
    return name !== null && name.includes(':') === (kind === 'URI') ? [name] : [];
  });
}

/**
 * The entries of a subjectAltName in Node's format, `DNS:a.example, URI:spiffe://b`, as pairs of kind and name. Node quotes a
 * name that contains a comma or a quote, so that one name cannot pass for two (CVE-2021-44532); its quotes stay.
 */
export function alternativeNamesOf(subjectAltName: string): (readonly [kind: string, name: string])[] {
  const entries = subjectAltName.matchAll(/(?:^|, )([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^",]*)(?=, |$)/g);
  return [...entries].map(([, kind = '', name = '']) => [kind, name] as const);
}

/** How many names of a certificate a message repeats. */
const MAX_SHOWN_NAMES = 3;

/** What a certificate shows, for a message about names that are not listed. */
export function describeNames(names: readonly string[]): string {
  const more = names.length - MAX_SHOWN_NAMES;
  const shown = names.slice(0, MAX_SHOWN_NAMES).map((name) => `'${name}'`);
  return `${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

/**
 * Authenticates a caller that sent no token by its client certificate. Null where certificates do not apply: methods for
 * users, a call without a certificate, or settings that list no names.
 *
 * @param names the names of a certificate that the transport has verified; null without one
 * @throws Rejected `credentials-missing` for a certificate without a name, `admin-required`, `service-required` for a name that is not listed for this class of access
 */
export function callerByCertificate(
  { service, admin }: ClientIdentities,
  access: AccessClass,
  names: readonly string[] | null,
): Caller | null {
  if (names === null || service.length + admin.length === 0) return null;
  if (access !== 'service' && access !== 'admin') return null;
  const [first] = names;
  if (first === undefined)
    throw new Rejected({
      kind: 'credentials-missing',
      accepts: 'token-or-certificate',
      isCertificateNameless: true,
    });
  const listed = access === 'admin' ? admin : service;
  const id = names.find((name) => listed.includes(name));
  const roles = access === 'admin' ? [ADMIN_ROLE] : [];
  if (id !== undefined) return { type: 'certificate', id, sessionId: null, roles, claims: null };
  if (access === 'service') throw new Rejected({ kind: 'service-required', certificateNames: names });
  const caller = { type: 'certificate', id: first } as const;
  throw new Rejected({ kind: 'admin-required', caller, certificateNames: names });
}
