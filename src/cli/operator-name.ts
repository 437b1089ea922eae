import { hostname, userInfo } from 'node:os';

import { sudoUserOf } from '../config/load-settings.ts';

const MAX_HOST_LENGTH = 128;
const MAX_USER_LENGTH = 64;

/**
 * Names who runs a command, as the machine knows it: `db-1/ann`, and under sudo `db-1/ann(root)`. It is a trace for
 * people, not a proof: whoever has access to the database can write any name. `features/audit/list-audit-events.ts` knows
 * its form, which no e-mail address and no name of a certificate has.
 */
export function operatorName(
  machine = { host: hostname(), user: loginName(), sudoUser: sudoUserOf() },
): string {
  const { host, user, sudoUser } = machine;
  const name = clean(user, MAX_USER_LENGTH);
  const person = sudoUser === null ? name : clean(sudoUser, MAX_USER_LENGTH);
  const shown = person === name ? name : `${person}(${name})`;
  return `${host.replace(/[^\w.-]/g, '_').slice(0, MAX_HOST_LENGTH) || 'unknown'}/${shown}`;
}

/** The user's name, or the number of one that has none, as in containers with any user id. */
function loginName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid-${process.getuid?.() ?? 'unknown'}`;
  }
}

function clean(name: string, maxLength: number): string {
  return (
    name
      .replace(/[\s@/\p{C}]/gu, '_')
      .slice(0, maxLength)
      .toWellFormed() || 'unknown'
  );
}
