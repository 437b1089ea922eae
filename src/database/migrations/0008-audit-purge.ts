/**
 * The one way in which audit events go, for a service role that cannot delete them: from 30 days of age on, some at a
 * time. It runs with the rights of who migrated, so its search path is fixed: no table of a caller's own making may
 * stand in for a name in it.
 */
export const auditPurge = `
DO $do$
BEGIN
  EXECUTE format($create$
    CREATE FUNCTION postern_purge_audit_events(older_than_days integer, most integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, %I, pg_temp AS $body$
    DECLARE
      purged integer;
    BEGIN
      IF older_than_days IS NULL OR older_than_days < 30 OR most IS NULL OR most NOT BETWEEN 1 AND 10000 THEN
        RAISE EXCEPTION 'audit events stay for 30 days at least, and at most 10000 go at once'
          USING ERRCODE = 'invalid_parameter_value';
      END IF;
      DELETE FROM audit_events WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM audit_events WHERE at < now() - make_interval(days => older_than_days)
        ORDER BY at LIMIT most FOR UPDATE SKIP LOCKED));
      GET DIAGNOSTICS purged = ROW_COUNT;
      RETURN purged;
    END $body$
  $create$, current_schema());
END $do$;
REVOKE ALL ON FUNCTION postern_purge_audit_events(integer, integer) FROM PUBLIC;
`;
