import type { Settings } from '../../config/load-settings.ts';
import { budgetOf } from '../../domain/operation-call.ts';
import type { MasterKey } from '../../crypto/sealed-envelope.ts';
import { checkStoredKey } from '../../features/signing-keys/check-stored-keys.ts';
import { loadMasterKeys } from '../../features/root-key/master-keys.ts';
import { sealingKeyOfRoot } from '../../features/root-key/root-key.ts';
import type { Database } from '../../database/database.ts';
import { findRootKey } from '../../features/root-key/root-key-queries.ts';
import { listVerifyingKeys, type StoredSigningKey } from '../../features/signing-keys/signing-key-queries.ts';
import { faultOf, type Finding } from './finding.ts';

/** Checks that the master key opens every stored signing key and the root key, and that none was altered. */
export async function keyFindings(
  database: Database,
  settings: Settings,
  limitMs: number,
): Promise<Finding[]> {
  try {
    const budget = () => budgetOf(limitMs, Date.now());
    const isShared = settings.algorithm === 'HS256';
    const stored = isShared ? [] : await database.run(budget(), (db) => listVerifyingKeys(db));
    const root = await database.run(budget(), (db) => findRootKey(db));
    const shared = isShared ? [signedWithSecret] : [];
    if (stored.length === 0 && root === null) return isShared ? shared : [noKeysYet];
    const masterKeys = loadMasterKeys(settings, { createIfMissing: false });
    const results = await Promise.all(stored.map((key) => storedKeyFault(key, masterKeys)));
    const faults = results.flatMap((fault) => (fault ? [fault] : []));
    const isCurrent = root === null || sealingKeyOfRoot(root, masterKeys) === masterKeys[0];
    return [
      ...shared,
      ...(faults.length > 0 || isShared ? faults : [keysOpened(stored.length)]),
      ...(isCurrent ? [] : [rewrapNeeded]),
    ];
  } catch (error) {
    return [faultOf('keys', error)];
  }
}

async function storedKeyFault(
  key: StoredSigningKey,
  masterKeys: readonly MasterKey[],
): Promise<Finding | null> {
  try {
    await checkStoredKey(key, masterKeys);
    return null;
  } catch (error) {
    return faultOf('keys', error);
  }
}

const signedWithSecret: Finding = {
  check: 'keys',
  verdict: 'ok',
  message: 'HS256: tokens are signed with POSTERN_SECRET',
};

const noKeysYet: Finding = {
  check: 'keys',
  verdict: 'ok',
  message: 'there is no signing key yet; serve creates one',
};

const keysOpened = (count: number): Finding => ({
  check: 'keys',
  verdict: 'ok',
  message: `the master key opens every signing key (${count})`,
});

const rewrapNeeded: Finding = {
  check: 'keys',
  verdict: 'warning',
  message: 'the keys are sealed with POSTERN_MASTER_KEY_PREVIOUS',
  advice: 'Once every instance has both master keys, run: postern key rewrap',
};
