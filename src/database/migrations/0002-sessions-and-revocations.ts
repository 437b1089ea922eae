/**
 * Sessions, whose rows refreshes change in place; the sealed root key of refresh tokens; and revocations, which every
 * instance reads in the order of the transactions that wrote them. A trigger wakes the readers, so that no writer can
 * forget to.
 */
export const sessionsAndRevocations = `
CREATE TABLE sessions (
  id uuid PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  nonce bytea NOT NULL,
  generation integer NOT NULL DEFAULT 1,
  audience text NOT NULL,
  client_address inet,
  user_agent text,
  created_at timestamptz NOT NULL DEFAULT now(),
  rotated_at timestamptz,
  access_expires_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  ended_at timestamptz,
  end_reason text
) WITH (fillfactor = 80);
CREATE INDEX sessions_live_by_user ON sessions (user_id, created_at) WHERE ended_at IS NULL;
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE refresh_root (
  only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  sealed_key bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE revocations (
  kind text NOT NULL CHECK (kind IN ('sid', 'jti', 'kid')),
  id text NOT NULL,
  expires_at timestamptz NOT NULL,
  written_by xid8 NOT NULL DEFAULT pg_current_xact_id(),
  PRIMARY KEY (kind, id)
);
CREATE INDEX revocations_in_order ON revocations (written_by, kind, id);
CREATE INDEX revocations_by_expiry ON revocations (expires_at);

CREATE FUNCTION postern_ring_trust() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('postern_trust', '');
  RETURN NULL;
END $$;
CREATE TRIGGER ring AFTER INSERT OR UPDATE ON revocations
  FOR EACH STATEMENT EXECUTE FUNCTION postern_ring_trust();
CREATE TRIGGER ring AFTER INSERT OR UPDATE OR DELETE ON signing_keys
  FOR EACH STATEMENT EXECUTE FUNCTION postern_ring_trust();
`;
