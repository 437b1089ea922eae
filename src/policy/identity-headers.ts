/**
 * The headers in which Check sends the identity of a caller to the upstream. A route without a check must remove them: a client
 * could set them itself.
 */
export const identityHeaders = {
  subject: 'x-postern-subject',
  subjectName: 'x-postern-subject-name',
  actor: 'x-postern-actor',
  session: 'x-postern-session',
  roles: 'x-postern-roles',
  externalId: 'x-postern-external-id',
  acr: 'x-postern-acr',
  authTime: 'x-postern-auth-time',
} as const;
