import { randomBytes } from 'node:crypto';

import { Secret } from '../../../domain/secret.ts';
import type { SecretDigests } from '../../../crypto/keyed-digests.ts';
import type { Transaction } from '../../../database/database.ts';
import {
  makeRecoveryCode,
  parsePresentedCode,
  RECOVERY_CODE_RANDOM_BYTES,
  RECOVERY_CODES,
} from './recovery-code.ts';
import { replaceRecoveryCodeRows } from './recovery-code-queries.ts';

/** Gives a user new recovery codes in place of the old ones. The caller holds the lock on the user. */
export async function issueRecoveryCodes(
  trx: Transaction,
  digests: SecretDigests,
  userId: string,
): Promise<readonly Secret[]> {
  const codes = Array.from({ length: RECOVERY_CODES }, () =>
    makeRecoveryCode(randomBytes(RECOVERY_CODE_RANDOM_BYTES)),
  );
  const stored = codes.map((code) => digestOf(digests, userId, code));
  await replaceRecoveryCodeRows(trx, userId, stored);
  return codes.map((code) => new Secret(code));
}

/** Of the form in which a code is parsed when it is presented. */
function digestOf(digests: SecretDigests, userId: string, text: string): Buffer {
  const parsed = parsePresentedCode(text);
  if (parsed.kind !== 'recovery') throw new Error('a new recovery code is not one');
  return digests.ofRecoveryCode(userId, parsed.code);
}
