import type { Knex } from 'knex';

import type { TokenDependencies } from './derived-token-queries.ts';

/** What a service account may do with audiences. */
export interface ExchangingAccount {
  readonly id: string;
  readonly name: string;
  /** The audiences that it may ask for itself; null for all. */
  readonly allowedAudiences: readonly string[] | null;
  /** The audiences that it serves. */
  readonly ownAudiences: readonly string[];
  /** The audiences towards which it may act for somebody. */
  readonly delegationAudiences: readonly string[];
}

/** What the database says about the tokens of an exchange. */
export interface TokenStanding {
  /** The service accounts that exist, by id. */
  readonly accounts: ReadonlyMap<string, ExchangingAccount>;
  /** What the recorded tokens depend on, by `jti`. A token whose dependency ended is not recorded any more. */
  readonly recorded: ReadonlyMap<string, TokenDependencies>;
  /** Whether one of the tokens or sessions is revoked. */
  readonly isRevoked: boolean;
}

/** The tokens of an exchange: that of the subject and that of the actor. */
export interface ExchangedTokens {
  readonly accountIds: readonly string[];
  readonly tokenIds: readonly string[];
  readonly sessionIds: readonly string[];
}

interface AccountRow {
  id: string;
  name: string;
  allowed_audiences: string[] | null;
  own_audiences: string[];
  delegation_audiences: string[];
}

interface RecordRow {
  id: string;
  account_id: string | null;
  actor_ids: string[] | null;
  binding_id: string | null;
  key_id: string | null;
  api_key_id: string | null;
}

/** Reads what a decision about an exchange depends on, in one statement. */
export async function readTokenStanding(
  db: Knex,
  { accountIds, tokenIds, sessionIds }: ExchangedTokens,
): Promise<TokenStanding> {
  const { rows } = await db.raw<{
    rows: { accounts: AccountRow[] | null; recorded: RecordRow[] | null; is_revoked: boolean }[];
  }>(
    `SELECT
       (SELECT json_agg(a) FROM (
          SELECT id, name, allowed_audiences, own_audiences, delegation_audiences
          FROM service_accounts WHERE id = ANY (:accountIds::uuid[])) a) AS accounts,
       (SELECT json_agg(t) FROM (
          SELECT id, account_id, actor_ids, binding_id, key_id, api_key_id
          FROM service_tokens WHERE id = ANY (:tokenIds::text[])) t) AS recorded,
       EXISTS (
         SELECT FROM revocations
         WHERE (kind = 'jti' AND id = ANY (:tokenIds::text[])) OR (kind = 'sid' AND id = ANY (:sessionIds::text[]))
       ) AS is_revoked`,
    { accountIds: [...accountIds], tokenIds: [...tokenIds], sessionIds: [...sessionIds] } as never,
  );
  const { accounts = null, recorded = null, is_revoked: isRevoked = true } = rows[0] ?? {};
  return {
    accounts: new Map((accounts ?? []).map((row) => [row.id, toAccount(row)])),
    recorded: new Map((recorded ?? []).map((row) => [row.id, toDependencies(row)])),
    isRevoked,
  };
}

function toAccount(row: AccountRow): ExchangingAccount {
  return {
    id: row.id,
    name: row.name,
    allowedAudiences: row.allowed_audiences,
    ownAudiences: row.own_audiences,
    delegationAudiences: row.delegation_audiences,
  };
}

function toDependencies(row: RecordRow): TokenDependencies {
  return {
    accountId: row.account_id,
    actorIds: row.actor_ids ?? [],
    bindingId: row.binding_id,
    serviceKeyId: row.key_id,
    apiKeyId: row.api_key_id,
  };
}
