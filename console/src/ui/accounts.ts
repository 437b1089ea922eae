import type { ServiceAccount } from '../../../src/generated/postern/v1/admin.ts';
import { admin } from '../rpc.ts';
import { Directory } from './directory.ts';
import { rememberName } from './names.ts';
import type { Wire } from '../wire.ts';

export type Account = Wire<ServiceAccount>;

/** All service accounts: there is no RPC that reads one. */
export const accounts = new Directory<Account>(
  async (pageSize, pageToken) => {
    const { serviceAccounts = [], nextPageToken = '' } = await admin('listServiceAccounts', {
      pageSize,
      pageToken,
    });
    for (const { clientId, name } of serviceAccounts) rememberName(clientId, name);
    return { items: serviceAccounts, nextPageToken };
  },
  ({ clientId = '' }) => clientId,
);
