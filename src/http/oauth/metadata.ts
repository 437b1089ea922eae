import { algorithmTable } from '../../tokens/signing-algorithm.ts';
import type { Publication } from '../published-documents.ts';
import { CLIENT_AUTHENTICATION_METHODS } from './client-authentication.ts';
import { issuerPath, type ServedOAuth } from './oauth-endpoints.ts';
import { grantTypes } from './token-endpoint.ts';

/**
 * The metadata of the authorization server (RFC 8414 section 2), which is also what verifiers read of OpenID Connect
 * Discovery. Postern is not an OpenID provider. It lists what is served.
 *
 * @param algorithms those of the published keys. A verifier that finds none may take RS256 for the only one (go-oidc does).
 *   The member is left out when it would be empty (OpenID Connect Discovery, section 4.2), as in HS256 mode.
 */
export function serverMetadata(
  issuer: string,
  algorithms: readonly string[],
  { oauth, passwordDoor }: ServedOAuth,
): Readonly<Record<string, unknown>> {
  const base = issuer.replace(/\/$/, '');
  const assertionAlgorithms = Object.keys(algorithmTable);
  return {
    issuer,
    jwks_uri: `${base}/.well-known/jwks.json`,
    ...(algorithms.length > 0 && { id_token_signing_alg_values_supported: algorithms }),
    ...(oauth && {
      token_endpoint: `${base}/oauth/token`,
      grant_types_supported: grantTypes({ hasPassword: passwordDoor }),
      // Required by RFC 8414. There is no authorization endpoint.
      response_types_supported: [],
      subject_types_supported: ['public'],
      token_endpoint_auth_methods_supported: [...CLIENT_AUTHENTICATION_METHODS, 'none'],
      token_endpoint_auth_signing_alg_values_supported: assertionAlgorithms,
      introspection_endpoint: `${base}/oauth/introspect`,
      introspection_endpoint_auth_methods_supported: [...CLIENT_AUTHENTICATION_METHODS, 'Bearer'],
      introspection_endpoint_auth_signing_alg_values_supported: assertionAlgorithms,
      revocation_endpoint: `${base}/oauth/revoke`,
      revocation_endpoint_auth_methods_supported: ['none'],
    }),
  };
}

const WELL_KNOWN = '/.well-known';
const DISCOVERY = ['openid-configuration', 'oauth-authorization-server'].map(
  (name) => `${WELL_KNOWN}/${name}`,
);

/**
 * What the issuer publishes, and where. For an issuer with a path, OpenID Connect appends the well-known path to it, and RFC
 * 8414 section 3.1 inserts it before. All of that is served, with and without the path of the issuer in front, which a
 * proxy may remove.
 */
export function publicationOf(issuer: string, served: ServedOAuth, jwks: Publication['jwks']): Publication {
  const path = issuerPath(issuer);
  const prefixes = path === '' ? [''] : ['', path];
  const inserted = path === '' ? [] : DISCOVERY.map((document) => document + path);
  return {
    jwksPaths: prefixes.map((prefix) => `${prefix}${WELL_KNOWN}/jwks.json`),
    metadataPaths: [
      ...prefixes.flatMap((prefix) => DISCOVERY.map((document) => prefix + document)),
      ...inserted,
    ],
    metadata: (algorithms) => serverMetadata(issuer, algorithms, served),
    jwks,
  };
}
