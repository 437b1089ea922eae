import type { Settings } from '../../config/load-settings.ts';
import { budgetOf } from '../../domain/operation-call.ts';
import type { MasterKey } from '../../crypto/sealed-envelope.ts';
import { checkStoredKey } from '../../features/signing-keys/check-stored-keys.ts';
import { masterKeysOf } from '../../features/root-key/master-keys.ts';
import { rootIsSealedBy } from '../../features/root-key/root-key.ts';
import type { Database } from '../../database/database.ts';
import { findRefreshRoot } from '../../features/root-key/root-key-queries.ts';
import { listVerifyingKeys, type StoredSigningKey } from '../../features/signing-keys/signing-key-queries.ts';
import { faultOf, type Finding } from './finding.ts';

/** Whether every stored key, and the root key, is what it claims to be and opens with the master key. */
export async function keyFindings(
  database: Database,
  settings: Settings,
  limitMs: number,
): Promise<Finding[]> {
  try {
    const within = () => budgetOf(limitMs, Date.now());
    const isShared = settings.algorithm === 'HS256';
    const stored = isShared ? [] : await database.run(within(), (db) => listVerifyingKeys(db));
    const root = await database.run(within(), (db) => findRefreshRoot(db));
    const shared = isShared ? [signedWithSecret] : [];
    if (stored.length === 0 && root === null) return isShared ? shared : [noneYet];
    const masterKeys = masterKeysOf(settings, { mayMake: false });
    const looks = await Promise.all(stored.map((key) => lookAt(key, masterKeys)));
    const faults = looks.flatMap((fault) => (fault ? [fault] : []));
    const isCurrent = root === null || rootIsSealedBy(root, masterKeys) === masterKeys[0];
    return [
      ...shared,
      ...(faults.length > 0 || isShared ? faults : [opened(stored.length)]),
      ...(isCurrent ? [] : [toRewrap]),
    ];
  } catch (error) {
    return [faultOf('keys', error)];
  }
}

async function lookAt(key: StoredSigningKey, masterKeys: readonly MasterKey[]): Promise<Finding | null> {
  try {
    await checkStoredKey(key, masterKeys);
    return null;
  } catch (error) {
    return faultOf('keys', error);
  }
}

const signedWithSecret: Finding = {
  about: 'keys',
  verdict: 'ok',
  says: 'HS256: tokens are signed with POSTERN_SECRET',
};

const noneYet: Finding = { about: 'keys', verdict: 'ok', says: 'no signing key yet: serve makes one' };

const opened = (count: number): Finding => ({
  about: 'keys',
  verdict: 'ok',
  says: `the master key opens all ${count} signing keys`,
});

const toRewrap: Finding = {
  about: 'keys',
  verdict: 'warning',
  says: 'the keys are sealed by POSTERN_MASTER_KEY_PREVIOUS',
  advice: 'Once every instance has both master keys, run: postern key rewrap',
};
