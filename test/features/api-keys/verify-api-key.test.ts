import { createHash, randomBytes, randomUUID } from 'node:crypto';

import { describe, expect, test } from '@jest/globals';

import { ApiKeyDigests } from '../../../src/crypto/api-key-digests.ts';
import { Rejected } from '../../../src/domain/rejection.ts';
import { ApiKeyDirectory } from '../../../src/features/api-keys/api-key-directory.ts';
import { ApiKeyFeed } from '../../../src/features/api-keys/api-key-feed.ts';
import type { FedApiKey } from '../../../src/features/api-keys/api-key-feed-queries.ts';
import { verifyApiKey } from '../../../src/features/api-keys/verify-api-key.ts';

const nowMs = 1_800_000_000_000;
const digests = new ApiKeyDigests((purpose) => createHash('sha256').update(purpose).digest());

function keyed(rights: Partial<FedApiKey> = {}): { text: string; fed: FedApiKey } {
  const text = digests.make(randomBytes(32));
  const fed = {
    id: randomUUID(),
    ownerType: 'user' as const,
    ownerId: randomUUID(),
    digest: digests.of(text),
    roles: ['reader', 'writer'],
    audience: 'postern',
    networks: [],
    createdAt: new Date(nowMs - 1_000),
    expiresAt: new Date(nowMs + 60_000),
    revoked: false,
    revocationId: randomUUID(),
    writtenBy: 1n,
    subjectName: null,
    externalId: null,
    ownerRoles: ['reader'],
    ownerAllows: true,
    ...rights,
  };
  return { text, fed: { ...fed, mac: digests.macOf(fed) } };
}

function verifierOf(...keys: FedApiKey[]) {
  return verifierUnder([], ...keys);
}

function verifierUnder(secondFactorRoles: readonly string[], ...keys: FedApiKey[]) {
  const directory = new ApiKeyDirectory(digests, 'https://postern.example', secondFactorRoles);
  for (const key of keys) directory.apply(key);
  const seen: { reads: number; uses: number; onRead: () => void } = {
    reads: 0,
    uses: 0,
    onRead: () => undefined,
  };
  const verification = {
    directory,
    feed: {
      ageMs: 0,
      nextRead() {
        seen.reads += 1;
        seen.onRead();
        return Promise.resolve();
      },
    },
    uses: { note: () => void (seen.uses += 1) },
    policy: () => ({ audiences: ['postern'] }),
    maxStalenessMs: 1_000,
    nowMs: () => nowMs,
  };
  const verify = (key: string, address: string | null = null) =>
    verifyApiKey(verification, { key, address, requiredAudience: undefined });
  return { directory, seen, verification, verify };
}

async function causeOf(attempt: () => unknown): Promise<string> {
  try {
    await attempt();
    return 'accepted';
  } catch (error) {
    if (!(error instanceof Rejected)) throw error;
    const { rejection } = error;
    return rejection.kind === 'api-key-invalid' ? rejection.cause : rejection.kind;
  }
}

describe('Q03 Q15 the way of a refused key', () => {
  const network = keyed({ networks: ['192.0.2.0/24'] });
  const expired = keyed({ expiresAt: new Date(nowMs) });
  const disabled = keyed({ ownerAllows: false });
  const revoked = keyed();
  const removed = keyed({ audience: 'removed' });
  const altered = keyed();
  const cases: [cause: string, key: string][] = [
    ['unknown', keyed().text],
    ['revoked', revoked.text],
    ['expired', expired.text],
    ['owner-disabled', disabled.text],
    ['network', network.text],
    ['unknown', removed.text],
    ['unknown', altered.text],
  ];
  test.each(cases)('%s waits for one read of the keys, and counts as no use', async (cause, key) => {
    const widened = { ...altered.fed, roles: ['admin'] };
    const keys = [network.fed, expired.fed, disabled.fed, revoked.fed, removed.fed, widened];
    const { directory, seen, verify } = verifierOf(...keys);
    directory.end(revoked.fed.id);
    expect(await causeOf(() => verify(key, '198.51.100.1'))).toBe(cause);
    expect(seen).toMatchObject({ reads: 1, uses: 0 });
  });

  test('a malformed one waits for nothing', async () => {
    const { seen, verify } = verifierOf();
    expect(await causeOf(() => verify(`pak_${'x'.repeat(49)}`))).toBe('malformed');
    expect(seen.reads).toBe(0);
  });

  test('a key that the read brings is accepted', async () => {
    const { text, fed } = keyed();
    const { directory, seen, verify } = verifierOf();
    seen.onRead = () => directory.apply(fed);
    expect(await verify(text)).toMatchObject({ tokenId: fed.id, roles: ['reader'], keyId: null });
  });

  test('with keys that are too old every key gets trust-stale', async () => {
    const { text, fed } = keyed();
    const { verification, verify } = verifierOf(fed);
    verification.feed.ageMs = 1_001;
    expect(await causeOf(() => verify(text))).toBe('trust-stale');
  });

  test('at most 100 calls wait, without a statement, and no longer than 100 ms', async () => {
    const noDatabase = {
      run: () => {
        throw new Error('a waiting call used the database');
      },
    };
    const feed = new ApiKeyFeed(noDatabase as never, new ApiKeyDirectory(digests, ''), () => 0);
    let waiting = 300;
    const calls = Array.from({ length: waiting }, () =>
      feed.nextRead(() => false).then(() => (waiting -= 1)),
    );
    await new Promise((resolve) => setImmediate(resolve));
    expect(waiting).toBe(100);
    await Promise.all(calls);
    await expect(feed.refresh()).rejects.toThrow('used the database');
  });
});

describe('Q04 a key that ends while the keys are read', () => {
  test('does not come back with the rows of that read, nor with later ones as revoked', async () => {
    const { text, fed } = keyed();
    const { directory, verify } = verifierOf(fed);
    expect(verify(text)).toMatchObject({ tokenId: fed.id });
    directory.beginRead();
    directory.end(fed.id);
    directory.apply(fed);
    expect(await causeOf(() => verify(text))).toBe('revoked');
    directory.beginRead();
    directory.apply({ ...fed, revoked: true });
    expect(await causeOf(() => verify(text))).toBe('revoked');
  });

  test('a change of the owner counts at once, also for a key that was found by its text', () => {
    const { text, fed } = keyed();
    const { directory, verify } = verifierOf(fed);
    const first = verify(text);
    expect(verify(text)).toBe(first);
    directory.apply({ ...fed, ownerRoles: [], revocationId: randomUUID() });
    expect(verify(text)).toMatchObject({ roles: [] });
    directory.keepOnly(new Set());
    expect(directory.size).toBe(0);
  });

  test('expired keys are forgotten after a day', () => {
    const { fed } = keyed();
    const { directory } = verifierOf(fed);
    directory.purge(nowMs / 1000 + 86_000);
    expect(directory.size).toBe(1);
    directory.purge(nowMs / 1000 + 60 + 86_401);
    expect(directory.size).toBe(0);
  });
});

describe('M35 a role that needs a second factor', () => {
  const roles = ['admin', 'reader'];

  test('is not in the key of a user, also in one that was made before the policy', async () => {
    const { text, fed } = keyed({ roles, ownerRoles: roles });
    expect((await verifierOf(fed).verify(text)).roles).toEqual(roles);
    const { verify } = verifierUnder(['admin'], fed);
    expect(await verify(text)).toMatchObject({ roles: ['reader'], acr: null, authenticatedAtSeconds: null });
  });

  test('stays in the key of a service account', async () => {
    const { text, fed } = keyed({ ownerType: 'service', roles, ownerRoles: roles });
    expect((await verifierUnder(['admin'], fed).verify(text)).roles).toEqual(roles);
  });
});
