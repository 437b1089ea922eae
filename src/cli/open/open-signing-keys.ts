import type { MasterKey } from '../../crypto/sealed-envelope.ts';
import type { SigningKeyPolicy } from '../../features/signing-keys/advance-signing-keys.ts';
import { keyPolicyOf } from '../../features/signing-keys/key-policy.ts';
import { loadMasterKeys } from '../../features/root-key/master-keys.ts';
import { requireMasterKey } from '../../features/root-key/root-key.ts';
import type { Database } from '../../database/database.ts';
import { CommandFailure } from '../command-failure.ts';
import { exitCodes } from '../exit-codes.ts';
import { openDatabaseFor } from './open-database-for.ts';

/** What new signing keys are made with. */
export interface KeyMaker {
  readonly policy: SigningKeyPolicy;
  readonly masterKeys: readonly [MasterKey, ...MasterKey[]];
}

export interface KeyTools extends KeyMaker {
  readonly database: Database;
}

/** Opens the database for a command that changes signing keys, after checking that the master key is the service's. */
export function openSigningKeys<T>(work: (tools: KeyTools) => Promise<T>): Promise<T> {
  return openWithSigningKeys((database, keys) => {
    if (keys !== null) return work({ database, ...keys });
    throw new CommandFailure(
      exitCodes.refused,
      'there are no signing keys with POSTERN_ALGORITHM=HS256, only POSTERN_SECRET',
      'Change the secret in the environment of every program that shares it.',
    );
  });
}

/** As `openSigningKeys`, for a command that does more than that. @param work gets null with POSTERN_ALGORITHM=HS256 */
export function openWithSigningKeys<T>(
  work: (database: Database, keys: KeyMaker | null) => Promise<T>,
): Promise<T> {
  return openDatabaseFor({ schema: true, keys: true }, async (database, settings) => {
    const { algorithm } = settings;
    if (algorithm === 'HS256') return work(database, null);
    const masterKeys = loadMasterKeys(settings);
    await requireMasterKey({ database, masterKeys });
    return work(database, { policy: keyPolicyOf(settings, algorithm), masterKeys });
  });
}
