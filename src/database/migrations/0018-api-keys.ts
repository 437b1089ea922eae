/**
 * API keys of users and service accounts. The digest is keyed, and the MAC covers the row: a database writer can neither use
 * a key nor give one to somebody else. Instances read changes in the order of the transactions that wrote them.
 *
 * A change of the owner renews its keys, whoever makes it: `written_by` lets every instance read them again, and the revoked
 * `revocation_id` lets every other verifier ask again. A deleted row leaves revocations behind. Both triggers run with the rights
 * of the tables' owner: an instance of the release before changes users and accounts also while its role has no rights here.
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
  replaced_at timestamptz,
  revocation_id uuid NOT NULL DEFAULT gen_random_uuid(),
  written_by xid8 NOT NULL DEFAULT pg_current_xact_id(),
  CHECK (num_nonnulls(user_id, account_id) = 1)
);
CREATE UNIQUE INDEX api_keys_digest_key ON api_keys (digest);
CREATE UNIQUE INDEX api_keys_user_name_key ON api_keys (user_id, name)
  WHERE revoked_at IS NULL AND replaced_at IS NULL AND user_id IS NOT NULL;
CREATE UNIQUE INDEX api_keys_account_name_key ON api_keys (account_id, name)
  WHERE revoked_at IS NULL AND replaced_at IS NULL AND account_id IS NOT NULL;
CREATE INDEX api_keys_by_user ON api_keys (user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX api_keys_by_account ON api_keys (account_id, id) WHERE account_id IS NOT NULL;
CREATE INDEX api_keys_by_writer ON api_keys (written_by, id);
CREATE INDEX api_keys_unrevoked ON api_keys (id) WHERE revoked_at IS NULL;

CREATE FUNCTION postern_end_api_keys_1(ended_keys uuid[]) RETURNS TABLE (kind text, id text, expires_at timestamptz)
LANGUAGE sql AS $$
  WITH ended AS (
    DELETE FROM service_tokens t WHERE t.api_key_id = ANY (ended_keys)
    RETURNING t.id, t.api_key_id, t.expires_at + interval '180 seconds' AS revoked_until
  ), new_revocations AS (
    SELECT 'jti' AS kind, key_id::text AS id, clock_timestamp() + interval '780 seconds' AS expires_at
      FROM unnest(ended_keys) AS key_id
    UNION ALL SELECT 'jti', e.id, e.revoked_until FROM ended e WHERE e.revoked_until > now()
    UNION ALL SELECT 'sid', e.api_key_id::text, max(e.revoked_until) FROM ended e WHERE e.revoked_until > now()
      GROUP BY e.api_key_id
  ), revoked AS (
    INSERT INTO revocations AS r (kind, id, expires_at) SELECT n.kind, n.id, n.expires_at FROM new_revocations n
    ON CONFLICT ON CONSTRAINT revocations_pkey DO UPDATE SET expires_at = excluded.expires_at,
      written_by = excluded.written_by, written_at = excluded.written_at
    WHERE excluded.expires_at > r.expires_at
  )
  SELECT n.kind, n.id, n.expires_at FROM new_revocations n
$$;

CREATE FUNCTION postern_renew_api_keys_1(changed_keys uuid[], tokens_end_at timestamptz)
RETURNS TABLE (kind text, id text, expires_at timestamptz) LANGUAGE sql AS $$
  -- A statement of its own: the next one then sees the tokens of exchanges that this one has waited for.
  SELECT FROM api_keys k WHERE k.id = ANY (changed_keys) ORDER BY k.id FOR UPDATE;
  WITH previous AS (
    SELECT k.id, k.revocation_id FROM api_keys k
    WHERE k.id = ANY (changed_keys) AND k.revoked_at IS NULL ORDER BY k.id FOR UPDATE
  ), renewed AS (
    UPDATE api_keys k SET revocation_id = gen_random_uuid(), written_by = pg_current_xact_id()
    FROM previous p WHERE k.id = p.id
  ), ended AS (
    DELETE FROM service_tokens t USING previous p WHERE t.api_key_id = p.id AND t.expires_at > tokens_end_at
    RETURNING t.id, t.expires_at + interval '180 seconds' AS revoked_until
  ), new_revocations AS (
    SELECT 'jti' AS kind, p.revocation_id::text AS id, clock_timestamp() + interval '780 seconds' AS expires_at
      FROM previous p
    UNION ALL SELECT 'jti', e.id, e.revoked_until FROM ended e WHERE e.revoked_until > now()
  ), revoked AS (
    INSERT INTO revocations AS r (kind, id, expires_at) SELECT n.kind, n.id, n.expires_at FROM new_revocations n
    ON CONFLICT ON CONSTRAINT revocations_pkey DO UPDATE SET expires_at = excluded.expires_at,
      written_by = excluded.written_by, written_at = excluded.written_at
    WHERE excluded.expires_at > r.expires_at
  )
  SELECT n.kind, n.id, n.expires_at FROM new_revocations n
$$;

DO $do$
BEGIN
  EXECUTE format($create$
    CREATE FUNCTION postern_renew_keys_of_owner() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, %1$I, pg_temp AS $body$
    BEGIN
      PERFORM postern_renew_api_keys_1(ARRAY(
        SELECT id FROM api_keys WHERE user_id = NEW.id OR account_id = NEW.id), '-infinity');
      RETURN NULL;
    END $body$;
    CREATE FUNCTION postern_end_deleted_api_key() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, %1$I, pg_temp AS $body$
    BEGIN
      IF OLD.revoked_at IS NULL AND (OLD.expires_at IS NULL OR OLD.expires_at > now() - interval '1 hour') THEN
        PERFORM postern_end_api_keys_1(ARRAY[OLD.id]);
        PERFORM pg_notify('postern_trust', '');
      END IF;
      RETURN NULL;
    END $body$
  $create$, current_schema());
END $do$;
REVOKE ALL ON FUNCTION postern_renew_keys_of_owner() FROM PUBLIC;
REVOKE ALL ON FUNCTION postern_end_deleted_api_key() FROM PUBLIC;
CREATE TRIGGER api_keys_of_user AFTER UPDATE OF roles, disabled_at, external_id ON users FOR EACH ROW
  WHEN (OLD.roles IS DISTINCT FROM NEW.roles OR OLD.disabled_at IS DISTINCT FROM NEW.disabled_at
    OR OLD.external_id IS DISTINCT FROM NEW.external_id)
  EXECUTE FUNCTION postern_renew_keys_of_owner();
CREATE TRIGGER api_keys_of_account AFTER UPDATE OF roles, name, allowed_audiences ON service_accounts FOR EACH ROW
  WHEN (OLD.roles IS DISTINCT FROM NEW.roles OR OLD.name IS DISTINCT FROM NEW.name
    OR OLD.allowed_audiences IS DISTINCT FROM NEW.allowed_audiences)
  EXECUTE FUNCTION postern_renew_keys_of_owner();

CREATE TRIGGER api_key_deleted AFTER DELETE ON api_keys FOR EACH ROW EXECUTE FUNCTION postern_end_deleted_api_key();
CREATE TRIGGER api_key_written AFTER INSERT OR UPDATE OF written_by ON api_keys
  FOR EACH ROW EXECUTE FUNCTION postern_ring_trust();
`;
