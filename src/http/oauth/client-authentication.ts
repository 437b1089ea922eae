import type { ServiceCredentials } from '../../features/service-accounts/check-service-proof.ts';
import { decodeUtf8, formDecode, type Parameters } from './form.ts';
import { OAuthRefused } from './oauth-error.ts';

export const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

/** The ways in which a client can authenticate, as metadata name them. */
export const CLIENT_AUTHENTICATION_METHODS = [
  'client_secret_basic',
  'client_secret_post',
  'private_key_jwt',
] as const;

/** RFC 6749 section 5.2: a client that used the header is told the scheme of the header. */
const CHALLENGE = { 'www-authenticate': 'Basic realm="postern", charset="UTF-8"' };

/**
 * Reads how the client authenticates: HTTP Basic, `client_secret`, or `client_assertion`, exactly one of them (RFC 6749
 * section 2.3). The credentials are not checked here.
 *
 * @param authorization one entry for each `authorization` header
 * @throws OAuthRefused `invalid_client` without credentials, `invalid_request` for several or malformed ones
 */
export function readClientCredentials(
  authorization: readonly string[],
  parameters: Parameters,
): ServiceCredentials {
  const clientId = parameters.get('client_id') ?? '';
  const clientSecret = parameters.get('client_secret') ?? '';
  const clientAssertion = parameters.get('client_assertion') ?? '';
  const assertionType = parameters.get('client_assertion_type');
  const ways = [authorization.length > 0, clientSecret !== '', clientAssertion !== ''];
  if (authorization.length > 1 || ways.filter(Boolean).length > 1)
    throw new OAuthRefused('invalid_request', 'the client authenticates in several ways; use one');
  if (clientAssertion === '' ? assertionType !== undefined : assertionType !== ASSERTION_TYPE)
    throw new OAuthRefused(
      'invalid_request',
      `client_assertion needs client_assertion_type ${ASSERTION_TYPE}, and neither goes without the other`,
    );
  const [header] = authorization;
  if (header === undefined && clientSecret === '' && clientAssertion === '')
    throw new OAuthRefused(
      'invalid_client',
      'the client does not authenticate; send the id and secret of a service account by HTTP Basic, or client_secret or client_assertion',
      { headers: CHALLENGE },
    );
  if (header === undefined) return { clientId, clientSecret, clientAssertion };
  const basic = readBasic(header);
  if (clientId !== '' && clientId !== basic.clientId)
    throw new OAuthRefused('invalid_request', 'client_id differs from the one in the authorization header');
  return { ...basic, clientAssertion: '' };
}

/** The header that a refusal of the client's credentials carries: the challenge, if the client used HTTP Basic. */
export function challengeFor(authorization: readonly string[]): Record<string, string> {
  return authorization.length > 0 ? CHALLENGE : {};
}

/** Reads HTTP Basic. Both halves are form-encoded before they are joined (RFC 6749 section 2.3.1). */
function readBasic(header: string): Pick<ServiceCredentials, 'clientId' | 'clientSecret'> {
  const encoded = /^Basic +([A-Za-z0-9+/]+={0,2})$/i.exec(header)?.[1] ?? '';
  const bytes = Buffer.from(encoded, 'base64');
  if (encoded === '' || bytes.toString('base64') !== encoded)
    throw new OAuthRefused(
      'invalid_client',
      "the authorization header must be 'Basic' and the base64 of client_id:client_secret",
      { headers: CHALLENGE },
    );
  const pair = decodeUtf8(bytes);
  const colon = pair.indexOf(':');
  if (colon < 0)
    throw new OAuthRefused('invalid_client', 'the authorization header has no colon between id and secret', {
      headers: CHALLENGE,
    });
  return { clientId: formDecode(pair.slice(0, colon)), clientSecret: formDecode(pair.slice(colon + 1)) };
}
