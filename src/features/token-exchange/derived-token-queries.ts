import type { Knex } from 'knex';

import type { Revocation } from '../../domain/revocation-set.ts';
import { revokeTokensWhere } from '../service-accounts/service-token-queries.ts';

/** What a derived token depends on: it is revoked when one of these ends. */
export interface TokenDependencies {
  /** The service account that is the subject; null for a user. */
  readonly accountId: string | null;
  /** The service accounts that act for the subject. */
  readonly actorIds: readonly string[];
  readonly bindingId: string | null;
  /** The key of the service account whose assertion it came from, as its `kid`. */
  readonly serviceKeyId: string | null;
  readonly apiKeyId: string | null;
  /** `revocation_id` of the API key when its rights were read: another one means that key or owner has changed. */
  readonly apiKeyState?: string;
}

/** Whether a token was recorded; otherwise what it depends on has ended or changed meanwhile. */
export type RecordedDerivedToken = 'recorded' | 'ended' | 'changed';

/**
 * Records a token that is about to be issued, unless an account, the binding, its issuer or the API key that it depends on
 * ended meanwhile. The share locks serialize this with whatever ends one of them: the later one sees what the earlier one
 * has written, so that every token is found and revoked. Accounts are locked before the issuer and the issuer before the
 * binding, as their deletions do, whose cascades would otherwise deadlock with this.
 */
export async function recordDerivedToken(
  trx: Knex.Transaction,
  token: TokenDependencies & { readonly tokenId: string; readonly lifetimeSeconds: number },
): Promise<RecordedDerivedToken> {
  const {
    tokenId,
    lifetimeSeconds,
    accountId,
    actorIds,
    bindingId,
    serviceKeyId,
    apiKeyId,
    apiKeyState = null,
  } = token;
  const accountIds = [...new Set([...(accountId === null ? [] : [accountId]), ...actorIds])];
  const { rows } = await trx.raw<{ rows: [{ recorded: boolean; changed: boolean }] }>(
    `WITH accounts AS (
       SELECT FROM service_accounts WHERE id = ANY (:accountIds::uuid[]) FOR SHARE
     ), known AS (
       SELECT count(*) = cardinality(:accountIds::uuid[]) AS all_known FROM accounts
     ), issuer AS (
       SELECT FROM trusted_issuers
       WHERE id = (SELECT issuer_id FROM workload_bindings WHERE id = :bindingId::uuid)
         AND disabled_at IS NULL AND (SELECT all_known FROM known) FOR SHARE
     ), binding AS (
       SELECT FROM workload_bindings WHERE id = :bindingId::uuid
         AND (SELECT all_known FROM known) AND (issuer_id IS NULL OR EXISTS (SELECT FROM issuer)) FOR SHARE
     ), api_key AS (
       SELECT revocation_id IS DISTINCT FROM coalesce(:apiKeyState::uuid, revocation_id) AS changed FROM api_keys
       WHERE id = :apiKeyId::uuid AND revoked_at IS NULL
         AND (expires_at IS NULL OR expires_at > clock_timestamp()) FOR SHARE
     ), recorded AS (
     INSERT INTO service_tokens (id, account_id, actor_ids, binding_id, key_id, api_key_id, expires_at)
     SELECT :tokenId, :accountId::uuid, nullif(:actorIds::uuid[], '{}'), :bindingId::uuid, :serviceKeyId,
       :apiKeyId::uuid, clock_timestamp() + make_interval(secs => :lifetimeSeconds)
     WHERE (SELECT all_known FROM known)
       AND (:bindingId::uuid IS NULL OR EXISTS (SELECT FROM binding))
       AND (:apiKeyId::uuid IS NULL OR EXISTS (SELECT FROM api_key WHERE NOT changed))
     RETURNING 1)
     SELECT EXISTS (SELECT FROM recorded) AS recorded, EXISTS (SELECT FROM api_key WHERE changed) AS changed`,
    {
      tokenId,
      lifetimeSeconds,
      accountId,
      accountIds,
      actorIds: [...actorIds],
      bindingId,
      serviceKeyId,
      apiKeyId,
      apiKeyState,
    } as never,
  );
  const [{ recorded, changed }] = rows;
  if (recorded) return 'recorded';
  return changed ? 'changed' : 'ended';
}

/** Revokes the tokens that were issued by bindings, whose rows the caller must have locked or deleted. */
export function revokeTokensOfBindings(db: Knex, bindingIds: readonly string[]): Promise<Revocation[]> {
  return revokeTokensWhere(db, 'binding_id = ANY (?::uuid[])', [bindingIds]);
}
