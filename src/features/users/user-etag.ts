import { createHash } from 'node:crypto';

/** Identifies one state of a user: every change of the user changes it. 22 characters of base64url; not a secret. */
export function userEtag(user: {
  readonly email: string;
  readonly roles: readonly string[];
  readonly disabled: boolean;
  readonly updatedAt: Date;
}): string {
  const state = JSON.stringify([user.email, user.roles, user.disabled, user.updatedAt.getTime()]);
  return createHash('sha256').update(state).digest().subarray(0, 16).toString('base64url');
}
