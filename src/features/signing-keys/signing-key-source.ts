import { budgetOf } from '../../domain/operation-call.ts';
import { EnvelopeError, type MasterKey } from '../../crypto/sealed-envelope.ts';
import type { Database } from '../../database/database.ts';
import { listVerifyingKeys, readClock } from './signing-key-queries.ts';
import { createKeyRing } from '../../tokens/verify/key-ring.ts';
import type { Signer } from '../../tokens/issue/signer.ts';
import { dueSteps, type KeyStage, type KeyStep } from './key-lifecycle.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import { advanceSigningKeys, type SigningKeyPolicy, stagesOf } from './advance-signing-keys.ts';
import { type CheckedKeys, StoredKeyChecker } from './check-stored-keys.ts';
import { ensureSigningKey } from './ensure-signing-key.ts';
import { ringOf, signerOf } from './load-key-ring.ts';

const READ_LIMIT_MS = 1_000;

/** What is told of the keys: a step that this process took, or why it does not use a key or may not seal one, once each. */
export type KeyEvent = KeyStep | { readonly kind: 'refused' | 'left-behind'; readonly cause: Error };

/** Where the keys that sign and verify come from. */
export interface SigningKeySource {
  /** Makes sure that there is a key to sign with; throws what must stop the start. */
  prepare(): Promise<void>;
  /** Brings the trust bundle up to date with the database. Throws, with the bundle up to date, when no key signs. */
  refresh(): Promise<void>;
  /** The published keys as they were at the last refresh; null before the first. */
  readonly stages: () => readonly KeyStage[] | null;
  /** How many stored keys were left out at the last refresh. */
  readonly refused: () => number;
}

/**
 * Signing keys of the database, moved along their life cycle as time goes by. A row that is not what it claims to be is
 * left out, and the other keys go on; when it is that of the active key, nothing is signed until somebody decides. A set that has not
 * changed is not imported again.
 */
export function databaseKeys(dependencies: {
  readonly database: Database;
  readonly trust: TrustBundle;
  readonly policy: SigningKeyPolicy;
  readonly masterKeys: readonly [MasterKey, ...MasterKey[]];
  readonly report: (event: KeyEvent) => void;
}): SigningKeySource {
  const { database, trust, policy, masterKeys, report } = dependencies;
  const checker = new StoredKeyChecker(masterKeys);
  let currentFingerprint = '';
  let keys: CheckedKeys = { trusted: [], refused: [] };
  let isLoaded = false;
  let signer: Signer | null = null;
  let reportedFaults: ReadonlySet<Error> = new Set();
  let lacksMasterKey = false;

  const read = async () => {
    const within = () => budgetOf(READ_LIMIT_MS, Date.now());
    return checker.checkAll(await database.run(within(), (db) => listVerifyingKeys(db)));
  };

  const advance = async () => {
    try {
      for (const step of await advanceSigningKeys({ database, policy, checker })) report(step);
      lacksMasterKey = false;
    } catch (cause) {
      if (!(cause instanceof EnvelopeError)) throw cause;
      // An instance with the right master key does it.
      if (!lacksMasterKey) report({ kind: 'left-behind', cause });
      lacksMasterKey = true;
    }
  };

  /** That of the active key is told by whoever refreshes. */
  const reportRefused = () => {
    const others = keys.refused.filter(({ stored }) => stored.state !== 'active').map(({ fault }) => fault);
    for (const cause of others) if (!reportedFaults.has(cause)) report({ kind: 'refused', cause });
    reportedFaults = new Set(others);
  };

  /** @returns why the active key does not sign, if so */
  const updateSigner = async (): Promise<Error | null> => {
    const active = keys.trusted.find(({ stored }) => stored.state === 'active');
    const refused = keys.refused.find(({ stored }) => stored.state === 'active');
    if (active && signer?.kid === active.stored.kid) return null;
    signer = null;
    if (!active) return refused?.fault ?? new Error('no stored signing key is active');
    try {
      signer = await signerOf(active, masterKeys);
      return null;
    } catch (error) {
      if (error instanceof EnvelopeError) return error;
      throw error;
    }
  };

  return {
    prepare: () => ensureSigningKey({ database, algorithm: policy.algorithm, masterKeys }),
    async refresh() {
      keys = await read();
      const nowMs = await database.run(budgetOf(READ_LIMIT_MS, Date.now()), readClock);
      if (dueSteps(stagesOf(keys), policy, nowMs).length > 0) {
        await advance();
        keys = await read();
      }
      isLoaded = true;
      reportRefused();
      const fault = await updateSigner();
      const nextFingerprint = fingerprint(keys, signer);
      if (nextFingerprint !== currentFingerprint) {
        if (keys.trusted.length > 0) trust.replaceKeys(ringOf(keys.trusted, signer));
        else trust.clearKeys();
        currentFingerprint = nextFingerprint;
      }
      if (fault) throw fault;
    },
    stages: () => (isLoaded ? keys.trusted.map(({ stored }) => stored) : null),
    refused: () => keys.refused.length,
  };
}

/** HS256 mode: the shared secret is the only key and no set is published; the database is only asked for life. */
export function sharedSecret({
  database,
  trust,
}: {
  readonly database: Database;
  readonly trust: TrustBundle;
}): SigningKeySource {
  return {
    prepare: () => Promise.resolve(),
    async refresh() {
      await database.run(budgetOf(READ_LIMIT_MS, Date.now()), (db) => db.select(db.raw('1')));
      if (!trust.loaded) trust.replaceKeys(createKeyRing([]));
    },
    stages: () => [],
    refused: () => 0,
  };
}

/** Equal for equal rings: a kid stands for its key. */
function fingerprint({ trusted }: CheckedKeys, signer: Signer | null): string {
  return [...trusted.map(({ stored }) => stored.kid), `signs: ${signer?.kid ?? ''}`].join('\n');
}
