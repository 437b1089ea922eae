/**
 * Rare actions and refusals of the audit trail, newest first, at millions of events as well. Both indexes leave out what is
 * written most, so that a login or a refresh maintains none of them. That of refusals also decides about actor and action:
 * whoever asks for the refusals of one actor gets an answer, mostly an empty one, without a look at all others in the table.
 * `IF NOT EXISTS`, since no event is written while they are built here: a large table gets them before, concurrently.
 */
export const auditSearch = `
CREATE INDEX IF NOT EXISTS audit_events_by_action ON audit_events (action, id)
  WHERE action <> 'login' AND action <> 'token.refresh';
CREATE INDEX IF NOT EXISTS audit_events_refused ON audit_events (id, actor_id, action)
  WHERE outcome = 'refused';
`;
