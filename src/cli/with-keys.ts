import type { MasterKey } from '../domain/sealed-envelope.ts';
import type { SigningKeyPolicy } from '../operations/advance-signing-keys.ts';
import { keyPolicyOf } from '../operations/key-policy.ts';
import { masterKeysOf } from '../operations/master-keys.ts';
import { requireMasterKey } from '../operations/refresh-root.ts';
import type { Database } from '../store/database.ts';
import { CommandFailure } from './command-failure.ts';
import { exitCodes } from './exit-codes.ts';
import { withDatabase } from './with-database.ts';

export interface KeyTools {
  readonly database: Database;
  readonly policy: SigningKeyPolicy;
  readonly masterKeys: readonly [MasterKey, ...MasterKey[]];
}

/** Opens what commands need that change signing keys, once the master key has shown to be that of the service. */
export function withKeys<T>(work: (tools: KeyTools) => Promise<T>): Promise<T> {
  return withDatabase({ schema: true, keys: true }, async (database, settings) => {
    const { algorithm } = settings;
    if (algorithm === 'HS256') {
      throw new CommandFailure(
        exitCodes.refused,
        'with POSTERN_ALGORITHM=HS256 there are no signing keys, only POSTERN_SECRET',
        'Change the secret in the environment of every program that shares it.',
      );
    }
    const masterKeys = masterKeysOf(settings);
    await requireMasterKey(database, masterKeys);
    return work({ database, policy: keyPolicyOf(settings, algorithm), masterKeys });
  });
}
