import { type AccessClass, ADMIN_ROLE, type Caller } from '../domain/caller.ts';
import { Rejected } from '../domain/rejection.ts';

/** The names of certificates that may call without a token: URIs and DNS names, each believed exactly as written. */
export interface ClientIdentities {
  readonly service: readonly string[];
  readonly admin: readonly string[];
}

/** Longer names go neither into a setting nor into the audit trail. */
const MAX_NAME_LENGTH = 256;
const URI = /^[a-z][a-z0-9+.-]*:[\x21-\x7e]+$/i;
const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;

/**
 * A URI (it has a colon, which no DNS name has) as it is, a DNS name in lower case; null for anything else. A wildcard
 * names nobody in particular, and a comma or a quote would end a name in the two texts that hold several.
 */
export function readClientName(text: string): string | null {
  if (text.length > MAX_NAME_LENGTH || /[,"]/.test(text)) return null;
  if (text.includes(':')) return URI.test(text) ? text : null;
  const name = text.toLowerCase();
  return name.split('.').every((label) => LABEL.test(label)) ? name : null;
}

/**
 * The URIs and DNS names of a certificate, from its subjectAltName as Node writes it: `DNS:a.example, URI:spiffe://b`.
 * Node quotes a name that holds a comma or a quote, so that none can pass for two (CVE-2021-44532); such a name, and
 * whatever else is no name here, is left out.
 */
export function clientNamesOf(subjectAltName: string): string[] {
  const entries = subjectAltName.matchAll(/(?:^|, )([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^",]*)(?=, |$)/g);
  return [...entries].flatMap(([, kind, text = '']) => {
    if (kind !== 'URI' && kind !== 'DNS') return [];
    const name = readClientName(text);
    return name !== null && name.includes(':') === (kind === 'URI') ? [name] : [];
  });
}

/**
 * Who a certificate lets in where no token was sent. Null where certificates let nobody in: methods for persons, a
 * certificate without a name, or a service whose settings name none.
 *
 * @param names those of a certificate that the transport has verified
 * @throws Rejected `admin-required`, `service-required` for a name that is not listed for this class of access
 */
export function callerByCertificate(
  { service, admin }: ClientIdentities,
  access: AccessClass,
  names: readonly string[],
): Caller | null {
  const [first] = names;
  if (first === undefined || service.length + admin.length === 0) return null;
  if (access !== 'service' && access !== 'admin') return null;
  const listed = access === 'admin' ? admin : service;
  const id = names.find((name) => listed.includes(name));
  const roles = access === 'admin' ? [ADMIN_ROLE] : [];
  if (id !== undefined) return { type: 'certificate', id, sessionId: null, roles, claims: null };
  if (access === 'service') throw new Rejected({ kind: 'service-required' });
  throw new Rejected({ kind: 'admin-required', caller: { type: 'certificate', id: first } });
}
