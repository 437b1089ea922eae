import { budgetOf, type CallBudget } from '../../domain/operation-call.ts';
import { EnvelopeError, type MasterKey } from '../../crypto/sealed-envelope.ts';
import type { Database } from '../../database/database.ts';
import { listVerifyingKeys, readClock } from './signing-key-queries.ts';
import { createKeyRing } from '../../tokens/verify/key-ring.ts';
import type { Signer } from '../../tokens/issue/signer.ts';
import { dueSteps, type KeyStage, type KeyStep } from './key-lifecycle.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import { advanceSigningKeys, type SigningKeyPolicy, stagesToAdvance } from './advance-signing-keys.ts';
import { type CheckedKeys, StoredKeyChecker } from './check-stored-keys.ts';
import { ensureSigningKey } from './ensure-signing-key.ts';
import { ringOf, signerOf } from './load-key-ring.ts';

const READ_BUDGET_MS = 1_000;

/**
 * What a source reports, once each: a step that this process took; `refused`, a key that failed its check;
 * `left-behind`, a step that is due but needs a master key that this process does not have.
 */
export type KeyEvent = KeyStep | { readonly kind: 'refused' | 'left-behind'; readonly cause: Error };

/** Where the keys that sign and verify come from. */
export interface SigningKeySource {
  /** Ensures that there is a key to sign with. Throws errors that must stop the start. */
  prepare(): Promise<void>;
  /** Brings the trust bundle up to date with the database. Throws after that when no key can sign. */
  refresh(): Promise<void>;
  /** The published keys as of the last refresh; null before the first. */
  readonly stages: () => readonly KeyStage[] | null;
  /** How many stored keys failed their check at the last refresh. */
  readonly refused: () => number;
}

interface DatabaseKeysDependencies {
  readonly database: Database;
  readonly trust: TrustBundle;
  readonly policy: SigningKeyPolicy;
  readonly masterKeys: readonly [MasterKey, ...MasterKey[]];
  readonly report: (event: KeyEvent) => void;
}

/**
 * The signing keys of the database. Each refresh takes the steps of their life cycle that are due. A key that fails its
 * check is left out and the others stay in use; when it is the active key, nothing is signed until an operator acts. An
 * unchanged key set is not imported again.
 */
export function databaseKeys(dependencies: DatabaseKeysDependencies): SigningKeySource {
  return new DatabaseKeys(dependencies);
}

class DatabaseKeys implements SigningKeySource {
  readonly #dependencies: DatabaseKeysDependencies;
  readonly #checker: StoredKeyChecker;
  #keys: CheckedKeys = { trusted: [], refused: [] };
  #isLoaded = false;
  #signer: Signer | null = null;
  #fingerprint = '';
  #reportedFaults: ReadonlySet<Error> = new Set();
  #lacksMasterKey = false;

  constructor(dependencies: DatabaseKeysDependencies) {
    this.#dependencies = dependencies;
    this.#checker = new StoredKeyChecker(dependencies.masterKeys);
  }

  prepare(): Promise<void> {
    const { database, policy, masterKeys } = this.#dependencies;
    return ensureSigningKey({ database, algorithm: policy.algorithm, masterKeys });
  }

  async refresh(): Promise<void> {
    const { database, policy } = this.#dependencies;
    this.#keys = await this.#read();
    const nowMs = await database.run(readBudget(), readClock);
    if (dueSteps(stagesToAdvance(this.#keys), policy, nowMs).length > 0) {
      await this.#advance();
      this.#keys = await this.#read();
    }
    this.#isLoaded = true;
    this.#reportRefused();
    const fault = await this.#updateSigner();
    this.#updateTrust();
    if (fault) throw fault;
  }

  readonly stages = (): readonly KeyStage[] | null =>
    this.#isLoaded ? this.#keys.trusted.map(({ stored }) => stored) : null;

  readonly refused = (): number => this.#keys.refused.length;

  async #read(): Promise<CheckedKeys> {
    const stored = await this.#dependencies.database.run(readBudget(), (db) => listVerifyingKeys(db));
    return this.#checker.checkAll(stored);
  }

  async #advance(): Promise<void> {
    const { database, policy, report } = this.#dependencies;
    try {
      for (const step of await advanceSigningKeys({ database, policy, checker: this.#checker })) report(step);
      this.#lacksMasterKey = false;
    } catch (cause) {
      if (!(cause instanceof EnvelopeError)) throw cause;
      // An instance that has the right master key takes the step.
      if (!this.#lacksMasterKey) report({ kind: 'left-behind', cause });
      this.#lacksMasterKey = true;
    }
  }

  /** The fault of the active key is not reported here: `refresh` throws it. */
  #reportRefused(): void {
    const faults = this.#keys.refused
      .filter(({ stored }) => stored.state !== 'active')
      .map(({ fault }) => fault);
    for (const cause of faults) {
      if (!this.#reportedFaults.has(cause)) this.#dependencies.report({ kind: 'refused', cause });
    }
    this.#reportedFaults = new Set(faults);
  }

  /** @returns why no key can sign, or null */
  async #updateSigner(): Promise<Error | null> {
    const active = this.#keys.trusted.find(({ stored }) => stored.state === 'active');
    const refused = this.#keys.refused.find(({ stored }) => stored.state === 'active');
    if (active && this.#signer?.kid === active.stored.kid) return null;
    this.#signer = null;
    if (!active) return refused?.fault ?? new Error('no stored signing key is active');
    try {
      this.#signer = await signerOf(active, this.#dependencies.masterKeys);
      return null;
    } catch (error) {
      if (error instanceof EnvelopeError) return error;
      throw error;
    }
  }

  #updateTrust(): void {
    const { trust } = this.#dependencies;
    const fingerprint = fingerprintOf(this.#keys, this.#signer);
    if (fingerprint === this.#fingerprint) return;
    if (this.#keys.trusted.length > 0) trust.replaceKeys(ringOf(this.#keys.trusted, this.#signer));
    else trust.clearKeys();
    this.#fingerprint = fingerprint;
  }
}

/**
 * The keys of HS256 mode: the shared secret is the only key and no JWKS is published. The database is queried only to
 * find out whether it is reachable.
 */
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
      await database.run(readBudget(), (db) => db.select(db.raw('1')));
      if (!trust.loaded) trust.replaceKeys(createKeyRing([]));
    },
    stages: () => [],
    refused: () => 0,
  };
}

function readBudget(): CallBudget {
  return budgetOf(READ_BUDGET_MS, Date.now());
}

/** Equal for equal key rings: a kid identifies its key. */
function fingerprintOf({ trusted }: CheckedKeys, signer: Signer | null): string {
  return [...trusted.map(({ stored }) => stored.kid), `signs: ${signer?.kid ?? ''}`].join('\n');
}
