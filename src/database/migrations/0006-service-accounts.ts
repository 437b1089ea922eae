/**
 * Service accounts, each with its secret's digest and, during a rotation, the digest of the one before; and the tokens
 * that they hold, which a deletion must be able to name one by one.
 */
export const serviceAccounts = `
CREATE TABLE service_accounts (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  roles text[] NOT NULL DEFAULT '{}',
  secret_digest bytea NOT NULL,
  secret_created_at timestamptz NOT NULL DEFAULT now(),
  previous_digest bytea,
  previous_until timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  CHECK ((previous_digest IS NULL) = (previous_until IS NULL))
);
CREATE UNIQUE INDEX service_accounts_name_key ON service_accounts (name);

CREATE TABLE service_tokens (
  id text PRIMARY KEY,
  account_id uuid NOT NULL REFERENCES service_accounts (id) ON DELETE CASCADE,
  expires_at timestamptz NOT NULL
);
CREATE INDEX service_tokens_by_account ON service_tokens (account_id, expires_at);
CREATE INDEX service_tokens_by_expiry ON service_tokens (expires_at);
`;
