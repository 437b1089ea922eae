import type { IssuerRef } from '../../../features/workloads/trusted-issuer-queries.ts';
import type { TrustedIssuer } from '../../../features/workloads/trusted-issuer.ts';
import { isUuid } from '../../../domain/validation.ts';

/** Reads a reference to an issuer: a UUID is its id, any other text its `iss`. */
export function parseIssuerRef(text: string): IssuerRef {
  return isUuid(text) ? { id: text } : { issuer: text };
}

/** A trusted issuer as `--json` prints it. The names are those of the gRPC contract. */
export function issuerDocument(issuer: TrustedIssuer): object {
  const { from, jwksUrl, bearerFile } = issuer.keys;
  return {
    id: issuer.id,
    issuer: issuer.issuer,
    kind: issuer.kind,
    keys_from: from,
    jwks_url: jwksUrl === '' ? null : jwksUrl,
    bearer_file: bearerFile === '' ? null : bearerFile,
    audience: issuer.audience,
    algorithms: issuer.algorithms,
    max_age: issuer.maxAgeSeconds,
    accept_once: issuer.acceptOnce,
    disabled: issuer.disabled,
    created_at: issuer.createdAt.toISOString(),
  };
}
