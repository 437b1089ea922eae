import type { ServiceAccount } from '../../../../src/generated/postern/v1/admin.ts';
import { admin } from '../../rpc.ts';
import { Directory } from '../../ui/directory.ts';
import type { Wire } from '../../wire.ts';

export type Account = Wire<ServiceAccount>;

/** All service accounts: there is no RPC that reads one. */
export const accounts = new Directory<Account>(
  async (pageSize, pageToken) => {
    const { serviceAccounts = [], nextPageToken = '' } = await admin('listServiceAccounts', {
      pageSize,
      pageToken,
    });
    return { items: serviceAccounts, nextPageToken };
  },
  ({ clientId = '' }) => clientId,
);

/** Credentials that were just created, until the page of the account shows them, once. */
let fresh: { readonly clientId: string; readonly clientSecret: string } | null = null;

export function keepFreshCredentials(credentials: { clientId: string; clientSecret: string }): void {
  fresh = credentials;
}

export function takeFreshCredentials(clientId: string): string | null {
  const kept = fresh;
  fresh = null;
  return kept?.clientId === clientId ? kept.clientSecret : null;
}
