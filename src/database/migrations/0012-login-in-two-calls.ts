/**
 * The two statements of a login, one before its hash and one after. They run with the rights of their caller. A changed body
 * needs a new name (`_2`), since old and new releases share a database during an upgrade.
 *
 * `enable_seqscan = off`: a plan is kept for as long as its connection. One that was made while a table was empty reads the
 * whole table later, which costs a hundred times as much and lets time tell who has an account. With the generic plan the
 * first calls of a connection are like all others.
 *
 * The commit of an attempt does not wait for the disk: that is half of what it costs. The audit row of the login or of its
 * refusal is committed after it and does wait, and PostgreSQL writes in order, so a crash forgets only attempts that were
 * not answered yet, and refusals beyond what the audit trail records of one source.
 *
 * Every statement of plpgsql sees what was committed while an earlier one waited for a lock. In a single statement two logins
 * at the limit of sessions would both end the same oldest session.
 */
export const loginInTwoCalls = `
DO $do$
BEGIN
  EXECUTE format($create$
    CREATE FUNCTION postern_begin_login_1(
      login_email text, pair_key bytea, account_key bytea,
      delays double precision[], allowance integer, forget_after double precision,
      account_window double precision, max_failures integer,
      OUT admitted boolean, OUT wait_ms double precision, OUT user_id uuid, OUT stored_hash text,
      OUT user_roles text[], OUT user_disabled boolean, OUT user_external_id text)
    LANGUAGE plpgsql SET search_path = pg_catalog, %1$I, pg_temp
    SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $body$
    DECLARE
      source_known boolean;
      blocked timestamptz;
    BEGIN
      PERFORM set_config('synchronous_commit', 'off', true);
      INSERT INTO login_throttle AS t (key, failures, blocked_until, expires_at)
      VALUES (pair_key, 1, clock_timestamp() + make_interval(secs => delays[1]),
              clock_timestamp() + make_interval(secs => forget_after))
      ON CONFLICT (key) DO UPDATE SET
        failures = CASE WHEN t.expires_at <= clock_timestamp() THEN 1 ELSE t.failures + 1 END,
        blocked_until = clock_timestamp() + make_interval(secs => delays[
          least(cardinality(delays), greatest(1, CASE WHEN t.expires_at <= clock_timestamp() THEN 1 ELSE t.failures + 1 END
            - CASE WHEN t.known_until > clock_timestamp() THEN allowance ELSE 0 END))]),
        expires_at = greatest(t.known_until, clock_timestamp() + make_interval(secs => forget_after))
      WHERE t.blocked_until IS NULL OR t.blocked_until <= clock_timestamp()
      RETURNING coalesce(known_until > clock_timestamp(), false) INTO source_known;
      admitted := FOUND;
      IF NOT admitted THEN
        SELECT t.blocked_until INTO blocked FROM login_throttle t WHERE t.key = pair_key;
      ELSE
        INSERT INTO login_throttle AS t (key, failures, expires_at)
        VALUES (account_key, 1, clock_timestamp() + make_interval(secs => account_window))
        ON CONFLICT (key) DO UPDATE SET
          failures = CASE WHEN t.expires_at <= clock_timestamp() THEN 1 ELSE t.failures + 1 END,
          expires_at = CASE WHEN t.expires_at <= clock_timestamp()
                            THEN clock_timestamp() + make_interval(secs => account_window) ELSE t.expires_at END
        WHERE t.failures < max_failures OR t.expires_at <= clock_timestamp() OR source_known;
        admitted := FOUND;
        IF NOT admitted THEN
          SELECT t.expires_at INTO blocked FROM login_throttle t WHERE t.key = account_key;
        END IF;
      END IF;
      IF admitted THEN
        SELECT u.id, u.password_hash, u.roles, u.disabled_at IS NOT NULL, u.external_id
        INTO user_id, stored_hash, user_roles, user_disabled, user_external_id
        FROM users u WHERE u.email = login_email;
      ELSE
        wait_ms := ceil(extract(epoch FROM blocked - clock_timestamp()) * 1000);
      END IF;
    END $body$;

    CREATE FUNCTION postern_open_session_1(
      owner_id uuid, expected_hash text, stronger_hash text,
      session_id uuid, session_nonce bytea, session_audience text, from_address inet, from_agent text,
      access_seconds double precision, lifetime_seconds double precision,
      max_sessions integer, revocation_margin double precision,
      event_id uuid, event_action text, call_id text,
      pair_key bytea, account_key bytea, known_seconds double precision,
      OUT outcome text, OUT user_roles text[], OUT user_external_id text,
      OUT ended_ids uuid[], OUT revoked_until double precision[])
    LANGUAGE plpgsql SET search_path = pg_catalog, %1$I, pg_temp
    SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $body$
    DECLARE
      current_hash text;
      user_disabled boolean;
      moment timestamptz;
    BEGIN
      SELECT u.password_hash, u.disabled_at IS NOT NULL, u.roles, u.external_id
      INTO current_hash, user_disabled, user_roles, user_external_id
      FROM users u WHERE u.id = owner_id FOR NO KEY UPDATE;
      outcome := CASE WHEN NOT FOUND THEN 'unknown-user' WHEN user_disabled THEN 'disabled'
                      WHEN current_hash IS DISTINCT FROM expected_hash THEN 'hash-changed' ELSE 'opened' END;
      IF outcome <> 'opened' THEN
        RETURN;
      END IF;
      IF stronger_hash IS NOT NULL THEN
        UPDATE users u SET password_hash = stronger_hash WHERE u.id = owner_id;
      END IF;
      -- The time after the wait for the lock: the sessions of a user are ordered by it.
      moment := clock_timestamp();
      IF EXISTS (SELECT FROM sessions s WHERE s.user_id = owner_id AND s.ended_at IS NULL AND s.expires_at > moment
                 OFFSET max_sessions - 1) THEN
        -- The array is evaluated once; a join might search for the oldest sessions again for each session.
        WITH ended AS (
          UPDATE sessions s SET ended_at = moment, end_reason = 'session-limit'
          WHERE s.user_id = owner_id AND s.ended_at IS NULL AND s.id = ANY (ARRAY(
            SELECT l.id FROM sessions l WHERE l.user_id = owner_id AND l.ended_at IS NULL AND l.expires_at > moment
            ORDER BY l.created_at DESC, l.id DESC OFFSET max_sessions - 1))
          RETURNING s.id, s.access_expires_at + make_interval(secs => revocation_margin) AS until
        ), revoked AS (
          INSERT INTO revocations AS r (kind, id, expires_at)
          SELECT 'sid', e.id::text, e.until FROM ended e WHERE e.until > moment
          ON CONFLICT (kind, id) DO UPDATE SET expires_at = excluded.expires_at, written_by = excluded.written_by,
            written_at = excluded.written_at
          WHERE excluded.expires_at > r.expires_at
        )
        SELECT array_agg(e.id), array_agg(ceil(extract(epoch FROM e.until))::double precision)
        INTO ended_ids, revoked_until FROM ended e;
      END IF;
      INSERT INTO sessions (id, user_id, nonce, audience, client_address, user_agent, created_at, access_expires_at, expires_at)
      VALUES (session_id, owner_id, session_nonce, session_audience, from_address, from_agent, moment,
              moment + make_interval(secs => access_seconds), moment + make_interval(secs => lifetime_seconds));
      INSERT INTO audit_events (id, action, outcome, actor_type, actor_id, target_type, target_id,
                                client_address, user_agent, request_id)
      VALUES (event_id, event_action, 'ok', 'user', owner_id::text, 'session', session_id::text,
              from_address, from_agent, call_id);
      -- First the pair, then the account, as postern_begin_login_1 locks them.
      UPDATE login_throttle t SET failures = 0, blocked_until = NULL,
        known_until = clock_timestamp() + make_interval(secs => known_seconds),
        expires_at = clock_timestamp() + make_interval(secs => known_seconds)
      WHERE t.key = pair_key;
      UPDATE login_throttle t SET failures = greatest(t.failures - 1, 0) WHERE t.key = account_key;
    END $body$
  $create$, current_schema());
END $do$;
`;
