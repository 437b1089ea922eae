import type { ApiKey } from '../../../features/api-keys/api-key.ts';
import type { CreatedApiKey } from '../../../features/api-keys/create-api-key.ts';
import { printJson, printLines, printNotice } from '../../output.ts';

/** An API key as `--json` prints it. The names are those of the gRPC contract. */
export function apiKeyDocument(key: ApiKey): object {
  return {
    id: key.id,
    name: key.name,
    owner_id: key.owner.id,
    owner_type: key.owner.type,
    roles: key.roles,
    audience: key.audience,
    allowed_networks: key.networks,
    created_at: key.createdAt.toISOString(),
    expires_at: key.expiresAt?.toISOString() ?? null,
    last_used_at: key.lastUsedAt?.toISOString() ?? null,
    last_used_from: key.lastUsedFrom,
    rotated_from: key.rotatedFrom,
  };
}

/** Prints a new key, which is not stored anywhere. */
export function printCreated(
  { secret, key }: CreatedApiKey,
  previousUntil: Date | null | undefined,
  json: boolean | undefined,
): void {
  const until = previousUntil?.toISOString() ?? null;
  if (json) {
    printJson({ ...apiKeyDocument(key), secret: secret.reveal(), previous_until: until });
    return;
  }
  printLines([`id      ${key.id}`, `secret  ${secret.reveal()}`]);
  const previous =
    until === null ? 'The previous key is revoked.' : `The previous key is valid until ${until}.`;
  printNotice(
    `Store the key now: it is not shown again. It ${key.expiresAt === null ? 'does not expire' : `expires at ${key.expiresAt.toISOString()}`}.`,
    ...(previousUntil === undefined ? [] : [previous]),
  );
}
