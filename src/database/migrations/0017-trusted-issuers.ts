/**
 * Issuers whose tokens are exchanged, and the identities that are bound to service accounts: by the claims of a token, or,
 * without an issuer, by a name of a client certificate.
 */
export const trustedIssuers = `
CREATE TABLE trusted_issuers (
  id uuid PRIMARY KEY,
  issuer text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('oidc', 'kubernetes', 'spiffe')),
  keys_from text NOT NULL CHECK (keys_from IN ('discovery', 'url', 'static')),
  jwks_url text,
  static_jwks jsonb,
  ca_pem text,
  bearer_file text,
  audience text NOT NULL,
  algorithms text[] NOT NULL,
  max_age_seconds integer NOT NULL,
  accept_once boolean NOT NULL DEFAULT false,
  disabled_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  CHECK ((keys_from = 'url') = (jwks_url IS NOT NULL)),
  CHECK ((keys_from = 'static') = (static_jwks IS NOT NULL))
);
CREATE UNIQUE INDEX trusted_issuers_issuer_key ON trusted_issuers (issuer);

CREATE TABLE workload_bindings (
  id uuid PRIMARY KEY,
  issuer_id uuid REFERENCES trusted_issuers (id) ON DELETE CASCADE,
  account_id uuid NOT NULL REFERENCES service_accounts (id) ON DELETE CASCADE,
  claims jsonb NOT NULL,
  roles text[],
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX workload_bindings_by_issuer ON workload_bindings (issuer_id);
CREATE INDEX workload_bindings_by_account ON workload_bindings (account_id);
`;
