import { readFileSync } from 'node:fs';

/** The PEM texts by which a client verifies a server and shows who it is; only those whose path is set. */
export function tlsPems(paths: {
  readonly certificate: string | null;
  readonly clientCertificate: string | null;
  readonly clientKey: string | null;
}): { ca?: Buffer; cert?: Buffer; key?: Buffer } {
  const { certificate, clientCertificate, clientKey } = paths;
  return {
    ...(certificate !== null && { ca: readFileSync(certificate) }),
    ...(clientCertificate !== null && { cert: readFileSync(clientCertificate) }),
    ...(clientKey !== null && { key: readFileSync(clientKey) }),
  };
}
