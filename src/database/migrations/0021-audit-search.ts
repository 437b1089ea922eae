/**
 * Rare actions and refusals of the audit trail, newest first, at a million events as well. Both indexes leave out what is
 * written most, so that a login or a refresh maintains none of them.
 */
export const auditSearch = `
CREATE INDEX audit_events_by_action ON audit_events (action, id) WHERE action <> 'login' AND action <> 'token.refresh';
CREATE INDEX audit_events_refused ON audit_events (id) WHERE outcome = 'refused';
`;
