import type { Command } from 'commander';

import type { Database } from '../../../database/database.ts';
import { Rejected } from '../../../domain/rejection.ts';
import type { ApiKeyOwner } from '../../../features/api-keys/api-key.ts';
import { findServiceId } from '../../../features/service-accounts/service-account-queries.ts';
import { parseServiceRef } from '../../../features/service-accounts/service-account-name.ts';
import { getUser } from '../../../features/users/get-user.ts';
import { commandCall } from '../../command.ts';
import { wrongUse } from '../../command-failure.ts';
import { addUserOptions, type UserOptions, userRefOf } from '../user/user-options.ts';

const LIMIT_MS = 5_000;

/** The options of `addOwnerOptions`. */
export interface OwnerOptions extends UserOptions {
  readonly service?: string | undefined;
}

/** Adds the options that name the owner of API keys: `--email`, `--external-id` and `--service`. */
export function addOwnerOptions(command: Command): Command {
  return addUserOptions(command).option(
    '--service <name>',
    'the name or the client id of a service account, instead of a user',
  );
}

/** The owner that the options name, null for none. @throws CommandFailure when they name several */
export async function ownerOf(database: Database, options: OwnerOptions): Promise<ApiKeyOwner | null> {
  const { email, externalId, service } = options;
  const given = [email, externalId, service].filter((name) => name !== undefined);
  if (given.length === 0) return null;
  if (given.length > 1)
    throw wrongUse('several owners are named', 'Give one of --email, --external-id and --service.');
  if (service === undefined) {
    const { id } = await getUser({ database }, userRefOf({ email, externalId }), commandCall(LIMIT_MS));
    return { type: 'user', id };
  }
  const id = await database.run(commandCall(LIMIT_MS), (db) => findServiceId(db, parseServiceRef(service)));
  if (id === null) throw new Rejected({ kind: 'not-found', resource: 'service account' });
  return { type: 'service', id };
}

/** @throws CommandFailure when the options name no owner */
export async function requireOwnerOf(database: Database, options: OwnerOptions): Promise<ApiKeyOwner> {
  const owner = await ownerOf(database, options);
  if (owner !== null) return owner;
  throw wrongUse('the owner is missing', 'Give --email, --external-id or --service.');
}
