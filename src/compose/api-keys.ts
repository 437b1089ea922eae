import type { Settings } from '../config/load-settings.ts';
import { ApiKeyDigests } from '../crypto/api-key-digests.ts';
import type { Database } from '../database/database.ts';
import { ApiKeyDirectory } from '../features/api-keys/api-key-directory.ts';
import { ApiKeyFeed } from '../features/api-keys/api-key-feed.ts';
import { ApiKeyUses } from '../features/api-keys/api-key-uses.ts';
import { type ApiKeyVerification, verifyApiKey } from '../features/api-keys/verify-api-key.ts';
import type { VerifyDependencies } from '../features/authentication/verify-token.ts';
import type { RootKey } from '../features/root-key/root-key.ts';
import type { Tokens } from './tokens.ts';

/** What creates, feeds and verifies API keys. */
export interface ApiKeys {
  readonly digests: ApiKeyDigests;
  readonly directory: ApiKeyDirectory;
  readonly feed: ApiKeyFeed;
  readonly uses: ApiKeyUses;
  readonly verification: ApiKeyVerification;
  readonly verify: NonNullable<VerifyDependencies['verifyApiKey']>;
}

/**
 * Wires the verification of API keys.
 *
 * @param parts.database for what calls do not wait for: the last uses
 * @param parts.trustDatabase for the feed
 */
export function composeApiKeys(parts: {
  readonly settings: Settings;
  readonly rootKey: RootKey;
  readonly tokens: Tokens;
  readonly database: Database;
  readonly trustDatabase: Database;
}): ApiKeys {
  const { settings, rootKey, database, trustDatabase } = parts;
  const { policy, nowMs, verification } = parts.tokens;
  const digests = new ApiKeyDigests((purpose) => rootKey.derive(purpose));
  const directory = new ApiKeyDirectory(digests, settings.issuer, settings.secondFactorRoles);
  // A key that this process has just revoked ends before the feed reads it, and so does a deleted one.
  verification.trust.subscribe((change) => {
    if (change.kind !== 'revocations') return;
    for (const { kind, id } of change.revocations) if (kind === 'jti') directory.end(id);
  });
  const feed = new ApiKeyFeed(trustDatabase, directory, () => nowMs() / 1000);
  const uses = new ApiKeyUses(database, nowMs);
  const { maxStalenessMs } = verification;
  const keyVerification = { directory, feed, uses, policy, maxStalenessMs, nowMs };
  return {
    digests,
    directory,
    feed,
    uses,
    verification: keyVerification,
    verify: (presented) => verifyApiKey(keyVerification, presented),
  };
}
