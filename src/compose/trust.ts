import { composeApiKeys } from './api-keys.ts';
import { logKeyEvent } from './report-events.ts';
import { composeTokens } from './tokens.ts';
import type { Settings } from '../config/load-settings.ts';
import type { CircuitBreaker } from '../database/circuit-breaker.ts';
import { Database } from '../database/database.ts';
import { DatabaseClock } from '../domain/database-clock.ts';
import { Audiences } from '../features/audiences/audiences.ts';
import { RevocationFeed } from '../features/revocations/revocation-feed.ts';
import { loadMasterKeys } from '../features/root-key/master-keys.ts';
import { RootKey } from '../features/root-key/root-key.ts';
import { keyPolicyOf } from '../features/signing-keys/key-policy.ts';
import { databaseKeys, sharedSecret } from '../features/signing-keys/signing-key-source.ts';
import type { Logger } from '../observability/log.ts';
import type { ServiceCounts } from '../observability/metrics/service-metrics.ts';
import { TrustBundle } from '../trust/trust-bundle.ts';

/** A pool of its own, so that slow queries of operations never delay revocations (D11). */
const TRUST_CONNECTIONS = 2;
/** A hanging probe frees its connection before the second probe after it needs one, so that recovery is noticed in time. */
const TRUST_WATCHDOG_MS = 1_000;

/** What the service trusts, and what reads it from the database. */
export type Trust = ReturnType<typeof composeTrust>;

/**
 * Wires the keys, revocations, audiences and API keys that tokens are issued and verified with, and what reads them.
 *
 * @param parts.database the pool of the operations
 * @param parts.address the same database, for the pool that reads keys and revocations
 */
export function composeTrust(parts: {
  readonly settings: Settings;
  readonly database: Database;
  readonly address: ConstructorParameters<typeof Database>[0]['address'];
  readonly circuit: CircuitBreaker;
  readonly warn: (detail: string) => void;
  readonly counts: ServiceCounts;
  readonly log: Logger;
}) {
  const { settings, database, address, circuit, warn, counts, log } = parts;
  const bundle = new TrustBundle();
  const clock = new DatabaseClock();
  const trustDatabase = new Database({
    address,
    applicationName: `postern trust ${process.pid}`,
    maxConnections: TRUST_CONNECTIONS,
    warn,
    circuit: { state: circuit, role: 'probing' },
    watchdogMs: TRUST_WATCHDOG_MS,
  });
  const audiences = new Audiences({
    configured: settings.audiences,
    database: trustDatabase,
    onChange: () => bundle.policyChanged(),
  });
  const tokens = composeTokens(settings, bundle, clock, () => audiences.all);
  const feed = new RevocationFeed(trustDatabase, bundle, clock);
  const rootKey = new RootKey(settings.refreshTokenForm);
  const apiKeys = composeApiKeys({ settings, rootKey, tokens, database, trustDatabase });
  const masterKeys = loadMasterKeys(settings);
  const keyPolicy = settings.algorithm === 'HS256' ? null : keyPolicyOf(settings, settings.algorithm);
  const keys = keyPolicy
    ? databaseKeys({
        database: trustDatabase,
        trust: bundle,
        policy: keyPolicy,
        masterKeys,
        report(event) {
          if (!('cause' in event)) counts.keySteps[event.kind] += 1;
          logKeyEvent(log, event);
        },
      })
    : sharedSecret({ database: trustDatabase, trust: bundle });

  return {
    bundle,
    clock,
    database: trustDatabase,
    audiences,
    tokens,
    rootKey,
    apiKeys,
    keys,
    signingKeys: keyPolicy && { policy: keyPolicy, masterKeys },
    revocationDelay: feed.delay,
    /** Makes what is missing in a migrated database. Throws errors that must stop the start. */
    async prepare(): Promise<void> {
      await rootKey.prepare(database, masterKeys);
      await keys.prepare();
      // Before the first keys: a token for an added audience would be refused for good.
      await audiences.refresh();
    },
    /** Reads what has changed. */
    async refresh(): Promise<void> {
      // Waits for all, so that the next refresh does not start while one of them is still reading. There are two
      // connections: the others read after what tokens wait for, so that a hanging database is noticed as early.
      const refreshed = [
        feed.refresh().then(() => apiKeys.feed.refresh()),
        keys.refresh().then(() => audiences.refresh()),
      ];
      await Promise.allSettled(refreshed).then(throwFirstRejection);
    },
    async stop(): Promise<void> {
      await apiKeys.uses.stop();
      await trustDatabase.close();
    },
  };
}

function throwFirstRejection(results: readonly PromiseSettledResult<void>[]): void {
  for (const result of results) if (result.status === 'rejected') throw result.reason as Error;
}
