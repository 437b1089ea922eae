/**
 * Public keys of service accounts, each with a MAC that a database writer cannot make; which key a token was issued for, so
 * that deleting the key revokes it; and what is accepted once, such as the `jti` of an assertion.
 */
export const serviceKeys = `
CREATE TABLE service_keys (
  account_id uuid NOT NULL REFERENCES service_accounts (id) ON DELETE CASCADE,
  kid text NOT NULL,
  public_jwk jsonb NOT NULL,
  mac bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (account_id, kid)
);

ALTER TABLE service_tokens ADD COLUMN key_id text;

CREATE TABLE used_once (
  purpose text NOT NULL,
  digest bytea NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (purpose, digest)
);
CREATE INDEX used_once_by_expiry ON used_once (expires_at);
`;
