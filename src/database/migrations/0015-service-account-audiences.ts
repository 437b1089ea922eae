/**
 * What a service account may ask for itself (NULL: every audience, as accounts from before may), which audiences it serves,
 * and towards which it may act for somebody. Tokens that were derived from something else are on record with what they
 * depend on, so that whatever ends it revokes them; those of users belong to no account.
 */
export const serviceAccountAudiences = `
ALTER TABLE service_accounts
  ADD COLUMN allowed_audiences text[],
  ADD COLUMN own_audiences text[] NOT NULL DEFAULT '{}',
  ADD COLUMN delegation_audiences text[] NOT NULL DEFAULT '{}';

ALTER TABLE service_tokens ALTER COLUMN account_id DROP NOT NULL;
ALTER TABLE service_tokens
  ADD COLUMN actor_ids uuid[],
  ADD COLUMN binding_id uuid,
  ADD COLUMN api_key_id uuid;
CREATE INDEX service_tokens_by_actor ON service_tokens USING gin (actor_ids) WHERE actor_ids IS NOT NULL;
CREATE INDEX service_tokens_by_binding ON service_tokens (binding_id) WHERE binding_id IS NOT NULL;
CREATE INDEX service_tokens_by_api_key ON service_tokens (api_key_id) WHERE api_key_id IS NOT NULL;
`;
