/**
 * What was revoked stays revoked, also for whoever took over the role of the service: a revocation that is in force cannot
 * be deleted, shortened, renamed, or written where no instance looks any more (the feed reads in the order of
 * transactions), and a revoked key cannot come back. Who may truncate the table, as its owner may, is not held up: what
 * is restored or repaired is restored by somebody.
 */
export const finalRevocations = `
CREATE FUNCTION postern_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'what was revoked stays revoked' USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER revoked_now BEFORE INSERT ON revocations FOR EACH ROW
  WHEN (NEW.written_by <> pg_current_xact_id() AND NOT has_table_privilege('revocations'::regclass, 'TRUNCATE'))
  EXECUTE FUNCTION postern_refuse_change();
CREATE TRIGGER stays_revoked BEFORE UPDATE ON revocations FOR EACH ROW
  WHEN ((NEW.kind <> OLD.kind OR NEW.id <> OLD.id OR NEW.expires_at < OLD.expires_at
         OR (NEW.written_by <> OLD.written_by AND NEW.written_by <> pg_current_xact_id()))
        AND NOT has_table_privilege('revocations'::regclass, 'TRUNCATE'))
  EXECUTE FUNCTION postern_refuse_change();
CREATE TRIGGER stays_until_expiry BEFORE DELETE ON revocations FOR EACH ROW
  WHEN (OLD.expires_at > now() AND NOT has_table_privilege('revocations'::regclass, 'TRUNCATE'))
  EXECUTE FUNCTION postern_refuse_change();

CREATE TRIGGER stays_revoked BEFORE UPDATE ON signing_keys FOR EACH ROW
  WHEN (OLD.state = 'revoked'
        AND (NEW.state <> 'revoked' OR NEW.kid <> OLD.kid OR NEW.sealed_private_key IS NOT NULL)
        AND NOT has_table_privilege('signing_keys'::regclass, 'TRUNCATE'))
  EXECUTE FUNCTION postern_refuse_change();
CREATE TRIGGER stays_for_good BEFORE DELETE ON signing_keys FOR EACH ROW
  WHEN (OLD.state = 'revoked' AND NOT has_table_privilege('signing_keys'::regclass, 'TRUNCATE'))
  EXECUTE FUNCTION postern_refuse_change();
`;
