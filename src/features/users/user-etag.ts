import { createHash } from 'node:crypto';

/** Names one state of a user: whoever changes the user changes it. 22 characters; not a secret. */
export function userEtag(user: {
  readonly email: string;
  readonly roles: readonly string[];
  readonly disabled: boolean;
  readonly updatedAt: Date;
}): string {
  const state = JSON.stringify([user.email, user.roles, user.disabled, user.updatedAt.getTime()]);
  return createHash('sha256').update(state).digest().subarray(0, 16).toString('base64url');
}
