/**
 * The audit trail in partitions of a month, so that old months are dropped instead of deleted row by row, and a search within a
 * time range reads only its months. The ids are UUIDv7, so a range of ids is a range of time, and the primary key stays `id`.
 *
 * The table so far becomes the first partition, without a copy. PostgreSQL reads it once to see that every id is below the
 * bound, and nothing can be recorded meanwhile. A large table gets a validated CHECK named `audit_events_first` before, which
 * needs no such lock: its bound is taken, and only an index is read. Events whose ids say a time beyond the bound move to the default
 * partition, which also takes whatever has no month later on.
 *
 * Whoever may insert and select does so through the parent alone. No partition has a grant of its own, so no role can change
 * events by going around the parent. Default privileges of a database must not undo that, so they are revoked each time.
 *
 * `postern_purge_audit_events` keeps its name, since the release before calls it: with its old body it would delete events that
 * happen to have the position of an old one in another partition.
 */
export const auditPartitions = `
ALTER TABLE audit_events RENAME TO audit_events_first;
ALTER INDEX audit_events_pkey RENAME TO audit_events_first_pkey;
ALTER INDEX audit_events_by_target RENAME TO audit_events_first_target_id_id_idx;
ALTER INDEX audit_events_by_actor RENAME TO audit_events_first_actor_id_id_idx;
ALTER INDEX audit_events_by_age RENAME TO audit_events_first_at_idx;
ALTER INDEX audit_events_by_action RENAME TO audit_events_first_action_id_idx;
ALTER INDEX audit_events_refused RENAME TO audit_events_first_id_actor_id_action_idx;

CREATE TABLE audit_events (
  id uuid PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT now(),
  action text NOT NULL,
  outcome text NOT NULL CONSTRAINT audit_events_outcome_check CHECK (outcome IN ('ok', 'refused')),
  reason text,
  actor_type text NOT NULL,
  actor_id text,
  target_type text,
  target_id text,
  client_address inet,
  user_agent text,
  request_id text,
  details jsonb
) PARTITION BY RANGE (id);
CREATE INDEX audit_events_by_target ON audit_events (target_id, id);
CREATE INDEX audit_events_by_actor ON audit_events (actor_id, id);
CREATE INDEX audit_events_by_age ON audit_events (at);
CREATE INDEX audit_events_by_action ON audit_events (action, id)
  WHERE action <> 'login' AND action <> 'token.refresh';
CREATE INDEX audit_events_refused ON audit_events (id, actor_id, action)
  WHERE outcome = 'refused';
CREATE TABLE audit_events_default (LIKE audit_events INCLUDING ALL);

-- The lowest UUIDv7 of a moment. None is before 1970: without a limit, an earlier moment would have the highest of all.
CREATE FUNCTION postern_lowest_id(moment timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $body$
  SELECT (lpad(to_hex(greatest(0, floor(extract(epoch FROM moment) * 1000))::bigint), 12, '0') || repeat('0', 20))::uuid
$body$;
-- The partitions and the ids in them, from_id included; the first one has no from_id, the default one has neither.
CREATE FUNCTION postern_audit_partitions() RETURNS TABLE (partition regclass, from_id uuid, to_id uuid)
LANGUAGE sql STABLE AS $body$
  SELECT c.oid, substring(b.bound FROM 'FROM \\(''([0-9a-f-]{36})''\\)')::uuid,
         substring(b.bound FROM 'TO \\(''([0-9a-f-]{36})''\\)')::uuid
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid, pg_get_expr(c.relpartbound, c.oid) AS b (bound)
  WHERE i.inhparent = 'audit_events'::regclass
$body$;

DO $do$
DECLARE
  columns CONSTANT text := 'id, at, action, outcome, reason, actor_type, actor_id, target_type, target_id, '
    'client_address, user_agent, request_id, details';
  bound uuid;
  granted record;
BEGIN
  FOR granted IN SELECT DISTINCT c.oid::regclass AS relation, a.grantee
    FROM pg_class c, aclexplode(c.relacl) a
    WHERE c.oid IN ('audit_events'::regclass, 'audit_events_default'::regclass) AND a.grantee <> c.relowner
  LOOP
    EXECUTE format('REVOKE ALL ON TABLE %s FROM %s', granted.relation,
      CASE granted.grantee WHEN 0 THEN 'PUBLIC' ELSE granted.grantee::regrole::text END);
  END LOOP;
  FOR granted IN SELECT a.* FROM pg_class c, aclexplode(c.relacl) a
    WHERE c.oid = 'audit_events_first'::regclass AND a.grantee <> c.relowner
  LOOP
    EXECUTE format('GRANT %s ON TABLE audit_events TO %s %s', granted.privilege_type,
      CASE granted.grantee WHEN 0 THEN 'PUBLIC' ELSE granted.grantee::regrole::text END,
      CASE WHEN granted.is_grantable THEN 'WITH GRANT OPTION' END);
  END LOOP;
  FOR granted IN SELECT a.grantee FROM pg_class c, aclexplode(c.relacl) a
    WHERE c.oid = 'audit_events_first'::regclass AND a.grantee <> c.relowner
    UNION SELECT a.grantee FROM pg_attribute c, aclexplode(c.attacl) a WHERE c.attrelid = 'audit_events_first'::regclass
  LOOP
    EXECUTE format('REVOKE ALL ON TABLE audit_events_first FROM %s CASCADE',
      CASE granted.grantee WHEN 0 THEN 'PUBLIC' ELSE granted.grantee::regrole::text END);
  END LOOP;

  SELECT substring(pg_get_constraintdef(oid) FROM '^CHECK \\(\\(id < ''([0-9a-f-]{36})''::uuid\\)\\)')::uuid INTO bound
  FROM pg_constraint WHERE conrelid = 'audit_events_first'::regclass AND conname = 'audit_events_first';
  IF bound IS NULL THEN
    bound := postern_lowest_id((date_trunc('month', now() AT TIME ZONE 'UTC') + interval '2 months') AT TIME ZONE 'UTC');
  END IF;
  -- With a CHECK as well, since one that is not validated says nothing of the events from before.
  EXECUTE format('WITH moved AS (DELETE FROM audit_events_first WHERE id >= $1 RETURNING %1$s)
    INSERT INTO audit_events_default (%1$s) SELECT %1$s FROM moved', columns) USING bound;
  EXECUTE format('ALTER TABLE audit_events ATTACH PARTITION audit_events_first FOR VALUES FROM (MINVALUE) TO (%L)', bound);
  ALTER TABLE audit_events ATTACH PARTITION audit_events_default DEFAULT;
  ALTER TABLE audit_events_first DROP CONSTRAINT IF EXISTS audit_events_first;
END $do$;

CREATE FUNCTION postern_make_partitions(older_than_days integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '100ms' AS $body$
<<make>>
DECLARE
  keep_from CONSTANT timestamptz := now() - make_interval(days => older_than_days);
  months_ahead CONSTANT integer := 3;
  max_moved CONSTANT integer := 1000;
  from_id uuid;
  to_id uuid;
  month timestamp;
  made text;
  grantee text;
  old regclass;
  blocked boolean;
  changed integer := 0;
BEGIN
  IF older_than_days IS NULL OR older_than_days < 30 THEN
    RAISE EXCEPTION 'audit events stay for 30 days at least' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  -- Another level would not see events that were recorded since its transaction began, and drop their partition.
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'partitions are made and dropped at READ COMMITTED' USING ERRCODE = 'invalid_transaction_state';
  END IF;
  -- One at a time. Reads and writes go on.
  LOCK TABLE ONLY audit_events IN SHARE UPDATE EXCLUSIVE MODE;

  FOR ahead IN 0..months_ahead LOOP
    month := date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => ahead);
    from_id := postern_lowest_id(month AT TIME ZONE 'UTC');
    to_id := postern_lowest_id((month + interval '1 month') AT TIME ZONE 'UTC');
    CONTINUE WHEN EXISTS (SELECT FROM postern_audit_partitions() p
      WHERE coalesce(p.from_id, '00000000-0000-0000-0000-000000000000') < make.to_id AND p.to_id > make.from_id);
    -- Of a month that was missing, the default partition may have events. Few of them move. Many would keep others waiting
    -- for too long: that month stays where it is.
    SELECT count(*) > max_moved INTO blocked FROM (
      SELECT FROM audit_events_default d WHERE d.id >= make.from_id AND d.id < make.to_id LIMIT max_moved + 1) AS found;
    CONTINUE WHEN blocked;
    LOCK TABLE audit_events_default IN ACCESS EXCLUSIVE MODE;
    SELECT format('%s.%I', relnamespace::regnamespace, 'audit_events_' || to_char(month, 'YYYY_MM')) INTO made
    FROM pg_class WHERE oid = 'audit_events'::regclass;
    EXECUTE format('CREATE TABLE %s (LIKE audit_events INCLUDING ALL)', made);
    FOR grantee IN SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
      FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = made::regclass AND a.grantee <> c.relowner
    LOOP
      EXECUTE format('REVOKE ALL ON TABLE %s FROM %s', made, grantee);
    END LOOP;
    EXECUTE format('WITH moved AS (DELETE FROM audit_events_default WHERE id >= $1 AND id < $2 RETURNING *)
      INSERT INTO %s SELECT * FROM moved', made) USING from_id, to_id;
    EXECUTE format('ALTER TABLE audit_events ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)', made, from_id, to_id);
    changed := changed + 1;
  END LOOP;
  IF changed > 0 THEN
    RETURN changed;
  END IF;

  -- One a call, since a drop needs the whole trail for a moment. The ids are dated by the instances: an event that
  -- is young by the clock of the database keeps its partition.
  FOR old IN SELECT p.partition FROM postern_audit_partitions() p
    WHERE p.to_id <= postern_lowest_id(keep_from) ORDER BY p.to_id
  LOOP
    EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE at >= $1)', old) INTO blocked USING keep_from;
    CONTINUE WHEN blocked;
    LOCK TABLE ONLY audit_events IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE at >= $1)', old) INTO blocked USING keep_from;
    CONTINUE WHEN blocked;
    EXECUTE format('DROP TABLE %s', old);
    RETURN 1;
  END LOOP;
  RETURN 0;
END $body$;

CREATE OR REPLACE FUNCTION postern_purge_audit_events(older_than_days integer, most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER AS $body$
DECLARE
  purged integer;
BEGIN
  IF older_than_days IS NULL OR older_than_days < 30 OR most IS NULL OR most NOT BETWEEN 1 AND 10000 THEN
    RAISE EXCEPTION 'audit events stay for 30 days at least, and at most 10000 go at once'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  -- By the id, not by the ctid: rows of two partitions can have the same.
  DELETE FROM audit_events WHERE id = ANY (ARRAY(
    SELECT id FROM audit_events WHERE at < now() - make_interval(days => older_than_days)
    ORDER BY at LIMIT most FOR UPDATE SKIP LOCKED));
  GET DIAGNOSTICS purged = ROW_COUNT;
  RETURN purged;
END $body$;

-- The time zone, since a caller could choose one in which 30 days are 16: between summer and winter it may change by two weeks.
ALTER FUNCTION postern_make_partitions(integer) SET timezone = 'UTC';
ALTER FUNCTION postern_purge_audit_events(integer, integer) SET timezone = 'UTC';
DO $do$
BEGIN
  EXECUTE format('ALTER FUNCTION postern_make_partitions(integer) SET search_path = pg_catalog, %1$I, pg_temp', current_schema());
  EXECUTE format('ALTER FUNCTION postern_audit_partitions() SET search_path = pg_catalog, %1$I, pg_temp', current_schema());
  EXECUTE format('ALTER FUNCTION postern_purge_audit_events(integer, integer) SET search_path = pg_catalog, %1$I, pg_temp',
    current_schema());
END $do$;
-- Another role than the owner may migrate, such as a superuser. The purge has the rights of the owner.
DO $do$
DECLARE
  owner CONSTANT name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'audit_events_first'::regclass);
  made text;
BEGIN
  IF owner <> current_user THEN
    FOREACH made IN ARRAY ARRAY['TABLE audit_events', 'TABLE audit_events_default', 'FUNCTION postern_lowest_id(timestamptz)',
      'FUNCTION postern_audit_partitions()', 'FUNCTION postern_make_partitions(integer)']
    LOOP
      EXECUTE format('ALTER %s OWNER TO %I', made, owner);
    END LOOP;
  END IF;
END $do$;
REVOKE ALL ON FUNCTION postern_lowest_id(timestamptz), postern_audit_partitions(), postern_make_partitions(integer) FROM PUBLIC;
`;
