import type { TrustedIssuer } from '../../../../src/generated/postern/v1/admin.ts';
import { admin } from '../../rpc.ts';
import { Directory } from '../../ui/directory.ts';
import type { Wire } from '../../wire.ts';

export type Issuer = Wire<TrustedIssuer>;

/** All trusted issuers: there is no RPC that reads one. */
export const issuers = new Directory<Issuer>(
  async (pageSize, pageToken) => {
    const { trustedIssuers = [], nextPageToken = '' } = await admin('listTrustedIssuers', {
      pageSize,
      pageToken,
    });
    return { items: trustedIssuers, nextPageToken };
  },
  ({ id = '' }) => id,
);
