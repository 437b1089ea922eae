/** Users with one canonical e-mail each, and the signing keys, of which at most one is active. */
export const usersAndSigningKeys = `
CREATE TABLE users (
  id uuid PRIMARY KEY,
  email text NOT NULL,
  password_hash text,
  roles text[] NOT NULL DEFAULT '{}',
  disabled_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX users_email_key ON users (email);

CREATE TABLE signing_keys (
  kid text PRIMARY KEY,
  algorithm text NOT NULL CHECK (algorithm IN ('ES256', 'RS256', 'EdDSA')),
  state text NOT NULL CHECK (state IN ('pending', 'active', 'retired', 'revoked')),
  public_jwk jsonb NOT NULL,
  sealed_private_key bytea,
  created_at timestamptz NOT NULL DEFAULT now(),
  activate_at timestamptz NOT NULL,
  activated_at timestamptz,
  retired_at timestamptz,
  remove_at timestamptz
);
CREATE UNIQUE INDEX signing_keys_one_active ON signing_keys ((true)) WHERE state = 'active';
`;
