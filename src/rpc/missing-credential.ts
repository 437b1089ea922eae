import type { AcceptedCredential, Rejection } from '../domain/rejection.ts';
import { describeNames } from '../net/certificate-identity.ts';
import type { RpcStatus } from './rpc-status.ts';
import { Code } from './status-code.ts';

const messages: Readonly<Record<AcceptedCredential, string>> = {
  token: "the call has no access token; send it as metadata 'authorization: Bearer <token>'",
  'token-in-field':
    "the call has no token; send it in access_token or as metadata 'authorization: Bearer <token>'",
  'token-or-certificate':
    "the call has no credential; send an access token as metadata 'authorization: Bearer <token>', or connect with a client certificate that is listed",
  'subject-token-or-certificate':
    'the call has nothing to exchange; send a token in subject_token, or connect with a client certificate that is bound',
};

/** The status of a call without a credential that its method takes. */
export function missingCredential({
  accepts,
  isCertificateNameless,
}: Extract<Rejection, { kind: 'credentials-missing' }>): RpcStatus {
  if (isCertificateNameless === true) return namelessCertificate;
  return { code: Code.UNAUTHENTICATED, reason: 'CREDENTIALS_MISSING', message: messages[accepts] };
}

const namelessCertificate: RpcStatus = {
  code: Code.UNAUTHENTICATED,
  reason: 'CREDENTIALS_MISSING',
  message:
    'the client certificate shows no URI and no DNS name in its subjectAltName, and the call has no token; use a certificate ' +
    "with a listed name, or send metadata 'authorization: Bearer <token>'",
};

/** For a verified client certificate whose names are not listed. */
export function unlisted(names: readonly string[], setting: string, bearer: string): string {
  return `the client certificate shows ${describeNames(names)}, which ${setting} does not list; list one of its names there, or send an access token of ${bearer}`;
}
