import { EVERY_AUDIENCE } from '../../../features/audiences/audience-name.ts';
import type { ServiceAccount } from '../../../features/service-accounts/service-account-queries.ts';

/** Audiences for a terminal. */
export function audienceList(names: readonly string[] | null): string {
  return (names ?? [EVERY_AUDIENCE]).join(',') || 'none';
}

/** A service account as `--json` prints it. The names are those of the gRPC contract. */
export function accountDocument(account: ServiceAccount): object {
  return {
    client_id: account.id,
    name: account.name,
    roles: account.roles,
    allowed_audiences: account.allowedAudiences ?? [EVERY_AUDIENCE],
    own_audiences: account.ownAudiences,
    delegation_audiences: account.delegationAudiences,
    created_at: account.createdAt.toISOString(),
    secret_created_at: account.secretCreatedAt.toISOString(),
    previous_until: account.previousSecretUntil?.toISOString() ?? null,
  };
}
