import type { ServerInterceptingCallInterface } from '@grpc/grpc-js';

import { clientNamesOf } from '../net/certificate-identity.ts';

type AuthContext = Pick<ReturnType<ServerInterceptingCallInterface['getAuthContext']>, 'sslPeerCertificate'>;

/**
 * The names of a connection's client certificate. grpc-js gives the certificate only of a socket that is `authorized`
 * (N09). A connection may outlive its certificate, so the date is looked at on every call.
 */
export function verifiedClientNames({ sslPeerCertificate: certificate }: AuthContext): string[] {
  if (!certificate || !(Date.parse(certificate.valid_to) > Date.now())) return [];
  // Absent from a certificate that has none, whatever the types say.
  const { subjectaltname = '' } = certificate as Partial<typeof certificate>;
  return clientNamesOf(subjectaltname);
}
