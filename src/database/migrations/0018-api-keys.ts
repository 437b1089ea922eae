/**
 * API keys of users and service accounts. The digest is keyed, and the MAC covers the row: a database writer can neither use
 * a key nor give one to somebody else. Instances read changes in the order of the transactions that wrote them.
 */
export const apiKeys = `
CREATE TABLE api_keys (
  id uuid PRIMARY KEY,
  user_id uuid REFERENCES users (id) ON DELETE CASCADE,
  account_id uuid REFERENCES service_accounts (id) ON DELETE CASCADE,
  name text NOT NULL,
  digest bytea NOT NULL,
  mac bytea NOT NULL,
  roles text[] NOT NULL,
  audience text NOT NULL,
  allowed_networks cidr[] NOT NULL DEFAULT '{}',
  expires_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  revoked_at timestamptz,
  last_used_at timestamptz,
  last_used_from inet,
  rotated_from uuid,
  written_by xid8 NOT NULL DEFAULT pg_current_xact_id(),
  CHECK (num_nonnulls(user_id, account_id) = 1)
);
CREATE UNIQUE INDEX api_keys_digest_key ON api_keys (digest);
CREATE UNIQUE INDEX api_keys_user_name_key ON api_keys (user_id, name) WHERE revoked_at IS NULL AND user_id IS NOT NULL;
CREATE UNIQUE INDEX api_keys_account_name_key ON api_keys (account_id, name) WHERE revoked_at IS NULL AND account_id IS NOT NULL;
CREATE INDEX api_keys_by_user ON api_keys (user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX api_keys_by_account ON api_keys (account_id, id) WHERE account_id IS NOT NULL;
CREATE INDEX api_keys_by_writer ON api_keys (written_by, id);
`;
