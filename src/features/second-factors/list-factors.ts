import type { CallBudget } from '../../domain/operation-call.ts';
import type { Database } from '../../database/database.ts';
import type { Factor } from './factor.ts';
import { listFactorRows } from './factor-queries.ts';
import { countRecoveryCodes } from './recovery-codes/recovery-code-queries.ts';

/** The confirmed factors of a user, and how many recovery codes are left. */
export interface FactorsOfUser {
  readonly factors: readonly Factor[];
  readonly recoveryCodesLeft: number;
}

/** @throws Rejected `store-unavailable` */
export function listFactors(
  { database }: { readonly database: Database },
  { userId }: { readonly userId: string },
  call: CallBudget,
): Promise<FactorsOfUser> {
  return database.run(call, async (db) => ({
    factors: await listFactorRows(db, userId),
    recoveryCodesLeft: await countRecoveryCodes(db, userId),
  }));
}
