/**
 * The audit trail names those who were deleted before. It is read before the lock on `users`, because that takes long
 * for a long trail, and for the last hour once more under the lock.
 */
const retiredByAudit = (condition: string) => `
INSERT INTO retired_ids (id, created_at, retired_at)
  SELECT id, to_timestamp(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000.0), retired_at
  FROM (
    SELECT target_id::uuid AS id, max(at) AS retired_at FROM audit_events
    WHERE action IN ('user.create', 'user.delete', 'service.create', 'service.delete') AND outcome = 'ok'
      AND target_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' ${condition}
    GROUP BY target_id
  ) AS named
  WHERE NOT EXISTS (SELECT FROM users WHERE users.id = named.id)
    AND NOT EXISTS (SELECT FROM service_accounts WHERE service_accounts.id = named.id)
ON CONFLICT DO NOTHING;`;

/**
 * Users may bring their ids from another program, so an id that was in use once must never be given again: to whoever
 * kept it, it means one person or program. The ids of deleted users and service accounts stay in a table, which triggers
 * write and check, so that no writer can forget to, nor needs a privilege for it. They run with the rights of who
 * migrated, so their search path is fixed. Users are listed by age, since such ids say nothing of it.
 */
export const idsOfOtherPrograms = `
CREATE TABLE retired_ids (
  id uuid PRIMARY KEY,
  created_at timestamptz NOT NULL,
  retired_at timestamptz NOT NULL DEFAULT now()
);
${retiredByAudit('')}

ALTER TABLE users ADD COLUMN external_id text;
CREATE UNIQUE INDEX users_external_id_key ON users (external_id) WHERE external_id IS NOT NULL;
CREATE INDEX users_by_age ON users (created_at, id);

DO $do$
BEGIN
  EXECUTE format($create$
    CREATE FUNCTION postern_retire_id() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, %1$I, pg_temp AS $body$
    BEGIN
      INSERT INTO retired_ids (id, created_at) VALUES (OLD.id, OLD.created_at) ON CONFLICT DO NOTHING;
      RETURN NULL;
    END $body$;
    CREATE FUNCTION postern_refuse_used_id() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, %1$I, pg_temp AS $body$
    BEGIN
      IF EXISTS (SELECT FROM retired_ids WHERE id = NEW.id)
         OR EXISTS (SELECT FROM service_accounts WHERE id = NEW.id) THEN
        RAISE EXCEPTION 'the id belongs to a service account, or did to somebody who was deleted'
          USING ERRCODE = 'unique_violation', CONSTRAINT = 'users_id_never_again';
      END IF;
      RETURN NULL;
    END $body$
  $create$, current_schema());
END $do$;
REVOKE ALL ON FUNCTION postern_retire_id() FROM PUBLIC;
REVOKE ALL ON FUNCTION postern_refuse_used_id() FROM PUBLIC;

CREATE TRIGGER stays_taken AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION postern_retire_id();
CREATE TRIGGER stays_taken AFTER DELETE ON service_accounts FOR EACH ROW EXECUTE FUNCTION postern_retire_id();
CREATE TRIGGER stays_taken_after_change AFTER UPDATE OF id ON users FOR EACH ROW
  WHEN (OLD.id <> NEW.id) EXECUTE FUNCTION postern_retire_id();
-- After the insertion, which has waited for whoever was deleting a user with this id.
CREATE TRIGGER never_again AFTER INSERT OR UPDATE OF id ON users FOR EACH ROW
  EXECUTE FUNCTION postern_refuse_used_id();
${retiredByAudit("AND at >= now() - interval '1 hour'")}
`;
