import type { Command } from 'commander';

import type { UserRef } from '../../../features/users/user-ref.ts';
import { wrongUse } from '../../command-failure.ts';

/** The options of `addUserOptions`. */
export interface UserOptions {
  readonly email?: string | undefined;
  readonly externalId?: string | undefined;
}

/** Adds the options that name one user: `--email` and `--external-id`. */
export function addUserOptions(command: Command): Command {
  return command
    .option('--email <address>', "the user's e-mail address")
    .option('--external-id <text>', "the user's id in another program, instead of --email");
}

/** The user that the options name. @throws CommandFailure unless exactly one of the two is given */
export function userRefOf({ email, externalId }: UserOptions): UserRef {
  if (email !== undefined && externalId === undefined) return { email };
  if (externalId !== undefined && email === undefined) return { externalId };
  throw wrongUse(
    'either --email or --external-id is required',
    "Give --email with the user's address, or --external-id with the id from another program.",
  );
}
