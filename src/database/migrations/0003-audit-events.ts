/** What happened to accounts, sessions and keys, for people to read; rows are only ever added, and purged by age. */
export const auditEvents = `
CREATE TABLE audit_events (
  id uuid PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT now(),
  action text NOT NULL,
  outcome text NOT NULL CHECK (outcome IN ('ok', 'refused')),
  reason text,
  actor_type text NOT NULL,
  actor_id text,
  target_type text,
  target_id text,
  client_address inet,
  user_agent text,
  request_id text,
  details jsonb
);
CREATE INDEX audit_events_by_target ON audit_events (target_id, id);
CREATE INDEX audit_events_by_actor ON audit_events (actor_id, id);
CREATE INDEX audit_events_by_age ON audit_events (at);
`;
