import type { ServerInterceptingCallInterface } from '@grpc/grpc-js';

import { clientNamesOf } from '../net/certificate-identity.ts';

type AuthContext = Pick<ReturnType<ServerInterceptingCallInterface['getAuthContext']>, 'sslPeerCertificate'>;

/**
 * The URIs and DNS names of a connection's client certificate; null without a valid one. grpc-js returns a certificate only for a socket that is
 * `authorized` (N09). A connection may outlive its certificate, so every call checks the date.
 */
export function verifiedClientNames({ sslPeerCertificate: certificate }: AuthContext): string[] | null {
  if (!certificate || !(Date.parse(certificate.valid_to) > Date.now())) return null;
  // Undefined for a certificate without alternative names, although the type says otherwise.
  const { subjectaltname = '' } = certificate as Partial<typeof certificate>;
  return clientNamesOf(subjectaltname);
}
