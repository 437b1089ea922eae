/**
 * Second factors, and how the user of a session proved who they are. Neither the secret of a TOTP factor nor a passkey nor the
 * level of a session can be forged by a database writer: the secret is sealed for its row, the others carry a MAC.
 *
 * `postern_open_session_2` replaces `_1` for logins of this release: it refuses a user who has a confirmed factor unless
 * the session has level `aal2`, and stores how the user proved who they are. `_1` stays for instances of the release before.
 */
export const secondFactors = `
ALTER TABLE sessions
  ADD COLUMN acr text CHECK (acr IN ('aal1', 'aal2')),
  ADD COLUMN amr text[],
  ADD COLUMN authenticated_at timestamptz,
  ADD COLUMN authentication_mac bytea;

CREATE TABLE factors (
  id uuid PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  kind text NOT NULL CHECK (kind IN ('totp', 'passkey')),
  name text NOT NULL,
  sealed_secret bytea,
  last_step bigint NOT NULL DEFAULT -1,
  credential_id bytea,
  cose_key bytea,
  sign_count bigint,
  backup_eligible boolean,
  backed_up boolean,
  transports text[],
  mac bytea,
  created_at timestamptz NOT NULL DEFAULT now(),
  pending_until timestamptz,
  confirmed_at timestamptz,
  last_used_at timestamptz,
  CHECK ((kind = 'totp') = (sealed_secret IS NOT NULL)),
  CHECK ((kind = 'passkey') = (num_nulls(credential_id, cose_key, sign_count, backup_eligible, backed_up, mac) = 0)),
  CHECK ((confirmed_at IS NULL) = (pending_until IS NOT NULL))
);
CREATE UNIQUE INDEX factors_credential_key ON factors (credential_id) WHERE credential_id IS NOT NULL;
CREATE INDEX factors_by_user ON factors (user_id, id);
CREATE INDEX factors_pending ON factors (pending_until) WHERE pending_until IS NOT NULL;

CREATE TABLE recovery_codes (
  user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  digest bytea NOT NULL,
  PRIMARY KEY (user_id, digest)
);

CREATE TABLE code_failures (
  user_id uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
  failures integer NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE INDEX code_failures_expired ON code_failures (expires_at);

DO $do$
BEGIN
  EXECUTE format($create$
    CREATE FUNCTION postern_open_session_2(
      owner_id uuid, expected_hash text, stronger_hash text,
      session_id uuid, session_nonce bytea, session_audience text, from_address inet, from_agent text,
      access_seconds double precision, lifetime_seconds double precision,
      session_acr text, session_amr text[], proven_at double precision, session_mac bytea,
      max_sessions integer, revocation_margin double precision,
      event_id uuid, event_action text, event_details jsonb, call_id text,
      pair_key bytea, account_key bytea, known_seconds double precision,
      OUT outcome text, OUT user_roles text[], OUT user_external_id text, OUT factor_names text[],
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
      -- Under the lock on the user, which whoever adds or deletes a factor holds as well.
      IF outcome = 'opened' AND session_acr <> 'aal2' THEN
        SELECT array_agg(DISTINCT f.kind ORDER BY f.kind DESC) INTO factor_names
        FROM factors f WHERE f.user_id = owner_id AND f.confirmed_at IS NOT NULL;
        IF factor_names IS NOT NULL THEN
          outcome := 'second-factor-required';
          IF EXISTS (SELECT FROM recovery_codes r WHERE r.user_id = owner_id) THEN
            factor_names := factor_names || 'recovery'::text;
          END IF;
        END IF;
      END IF;
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
      INSERT INTO sessions (id, user_id, nonce, audience, client_address, user_agent, created_at, access_expires_at, expires_at,
                            acr, amr, authenticated_at, authentication_mac)
      VALUES (session_id, owner_id, session_nonce, session_audience, from_address, from_agent, moment,
              moment + make_interval(secs => access_seconds), moment + make_interval(secs => lifetime_seconds),
              session_acr, session_amr, to_timestamp(proven_at), session_mac);
      INSERT INTO audit_events (id, action, outcome, actor_type, actor_id, target_type, target_id,
                                details, client_address, user_agent, request_id)
      VALUES (event_id, event_action, 'ok', 'user', owner_id::text, 'session', session_id::text,
              event_details, from_address, from_agent, call_id);
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
