/**
 * A transaction with NOTIFY takes one lock of the whole server and holds it until its commit is on disk, so writers of
 * revocations would wait for each other. The service notifies after its commits, and says so in its sessions; others (the
 * command line, the release before, whoever writes by hand) go on with the trigger. Changes of keys are rare and notify
 * in their transaction.
 */
export const notificationAfterCommit = `
CREATE OR REPLACE FUNCTION postern_ring_trust() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_TABLE_NAME <> 'revocations' OR current_setting('postern.notifies_after_commit', true) IS DISTINCT FROM 'on' THEN
    PERFORM pg_notify('postern_trust', '');
  END IF;
  RETURN NULL;
END $$;
`;
