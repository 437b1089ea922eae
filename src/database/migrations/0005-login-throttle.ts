/** Counters of failed logins under keyed hashes, so that the table tells nobody's e-mail. */
export const loginThrottle = `
CREATE TABLE login_throttle (
  key bytea PRIMARY KEY,
  failures integer NOT NULL,
  blocked_until timestamptz,
  known_until timestamptz,
  expires_at timestamptz NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX login_throttle_by_expiry ON login_throttle (expires_at);
`;
