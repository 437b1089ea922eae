import { createHash } from 'node:crypto';
import { inspect } from 'node:util';

import { describe, expect, test } from '@jest/globals';

import { makeScannableSecret } from '../../src/crypto/api-secret.ts';
import { Rejected } from '../../src/domain/rejection.ts';
import { SubjectType } from '../../src/generated/postern/v1/auth.ts';
import { ApiKeyGrant } from '../../src/generated/postern/v1/trust.ts';
import { ApiKeyResolver } from '../../src/trust/api-key-resolver.ts';
import { TrustBundle } from '../../src/trust/trust-bundle.ts';

const keyOf = (number: number) => {
  const random = Buffer.alloc(32);
  random.writeUInt32BE(number, 28);
  return makeScannableSecret('pak_', random);
};
const key = keyOf(1);
const digestOf = (text: string) => createHash('sha256').update(text).digest('hex');
const START_MS = Date.UTC(2026, 0, 1);

function grantWith(fields: Partial<ApiKeyGrant> = {}): ApiKeyGrant {
  return {
    ...ApiKeyGrant.decode(new Uint8Array()),
    id: 'b7d1f6ce-6a3c-4f3e-8a4e-000000000001',
    subject: 'b7d1f6ce-6a3c-4f3e-8a4e-0000000000aa',
    subjectType: SubjectType.USER,
    roles: ['reader'],
    audience: 'postern',
    createdAt: new Date(START_MS - 1_000),
    maxAge: 600,
    revocationId: 'b7d1f6ce-6a3c-4f3e-8a4e-00000000000e',
    ...fields,
  };
}

type Answer = ApiKeyGrant | null | Error | Promise<ApiKeyGrant | null>;

/** A resolver with a service that answers `answer`, and clocks that the test moves. */
function setUp(first: Answer) {
  const service = { answer: first, calls: [] as string[], running: 0, mostRunning: 0 };
  const clock = { wallMs: START_MS, monotonicMs: 0 };
  const policy = { issuer: 'https://postern.example', audiences: ['postern', 'billing'] };
  const bundle = new TrustBundle();
  const resolver = new ApiKeyResolver({
    bundle,
    policy: () => policy,
    async lookUp(keySha256) {
      service.calls.push(keySha256.toString('hex'));
      service.running += 1;
      service.mostRunning = Math.max(service.mostRunning, service.running);
      try {
        const answer = await service.answer;
        if (answer instanceof Error) throw answer;
        return answer;
      } finally {
        service.running -= 1;
      }
    },
    nowMs: () => clock.wallMs,
    monotonicMs: () => clock.monotonicMs,
  });
  return {
    service,
    resolver,
    policy,
    pass: (seconds: number) => {
      clock.wallMs += seconds * 1000;
      clock.monotonicMs += seconds * 1000;
    },
    clock,
    revoke: (id: string) => bundle.revoke([{ kind: 'jti', id, expiresAtSeconds: START_MS / 1000 + 100_000 }]),
    verify: (presented: { key?: string; address?: string | null; requiredAudience?: string } = {}) =>
      resolver.verify({
        key: presented.key ?? key,
        address: presented.address ?? null,
        requiredAudience: presented.requiredAudience,
      }),
  };
}

const stale = () => new Rejected({ kind: 'trust-stale', retryAfterMs: 1_000 });

/** What a verification ends with: `good`, or the kind and the cause of the refusal. */
async function verdictOf(verification: () => unknown): Promise<string> {
  try {
    await verification();
    return 'good';
  } catch (error) {
    if (!(error instanceof Rejected)) throw error;
    const { rejection } = error;
    return rejection.kind === 'api-key-invalid' ? rejection.cause : rejection.kind;
  }
}

test('asks once for a key, by its digest, and then answers without a promise', async () => {
  const { service, verify } = setUp(grantWith({ subjectName: '', externalId: 'crm-7' }));
  const claims = await verify();
  expect(claims).toEqual({
    subject: 'b7d1f6ce-6a3c-4f3e-8a4e-0000000000aa',
    subjectType: 'user',
    sessionId: null,
    tokenId: 'b7d1f6ce-6a3c-4f3e-8a4e-000000000001',
    clientId: null,
    externalId: 'crm-7',
    subjectName: null,
    actor: null,
    acr: null,
    amr: [],
    authenticatedAtSeconds: null,
    credentialKind: 'api-key',
    issuer: 'https://postern.example',
    audience: ['postern'],
    roles: ['reader'],
    issuedAtSeconds: START_MS / 1000 - 1,
    expiresAtSeconds: Infinity,
    keyId: null,
  });
  expect(verify()).toBe(claims);
  expect(service.calls).toEqual([digestOf(key)]);
});

test('concurrent calls with one key share one look-up', async () => {
  const { service, verify } = setUp(grantWith());
  const answers = await Promise.all(Array.from({ length: 50 }, async () => verify()));
  expect(new Set(answers).size).toBe(1);
  expect(service.calls).toHaveLength(1);
});

test('junk and mistyped keys are refused without a look-up', async () => {
  const { service, verify } = setUp(grantWith());
  const junk = ['pak_', `${key}x`, key.slice(0, -1), key.replace(/.$/, (last) => (last === 'a' ? 'b' : 'a'))];
  junk.push(`pak_${'x'.repeat(49)}`, `pak_${'x'.repeat(100_000)}`);
  for (const text of junk) expect(await verdictOf(() => verify({ key: text }))).toBe('malformed');
  expect(service.calls).toEqual([]);
});

describe('revocations of the stream', () => {
  test('a revoked id ends a remembered key at once, without a look-up', async () => {
    const { service, verify, revoke } = setUp(grantWith());
    await verify();
    revoke(grantWith().id);
    expect(await verdictOf(verify)).toBe('unknown');
    expect(await verdictOf(verify)).toBe('unknown');
    expect(service.calls).toHaveLength(1);
  });

  test('a revocation that arrives before the answer counts', async () => {
    const { verify, revoke } = setUp(grantWith());
    revoke(grantWith().id);
    expect(await verdictOf(verify)).toBe('unknown');
  });

  test('a revoked state of the key is asked for again', async () => {
    const { service, verify, revoke } = setUp(grantWith());
    await verify();
    revoke(grantWith().revocationId);
    service.answer = grantWith({ roles: [], revocationId: 'b7d1f6ce-6a3c-4f3e-8a4e-00000000000f' });
    expect((await verify()).roles).toEqual([]);
    expect(service.calls).toHaveLength(2);
  });

  test('an answer of an instance that lags behind the stream is not accepted', async () => {
    const { service, verify, revoke } = setUp(grantWith());
    revoke(grantWith().revocationId);
    expect(await verdictOf(verify)).toBe('trust-stale');
    expect(service.calls).toHaveLength(4);
  });

  test('another id ends nothing', async () => {
    const { verify, revoke } = setUp(grantWith());
    const claims = await verify();
    revoke('b7d1f6ce-6a3c-4f3e-8a4e-0000000000bb');
    expect(verify()).toBe(claims);
  });
});

describe('time', () => {
  test('a grant in use is renewed in the background, and a failed renewal changes nothing until it is too old', async () => {
    const { service, verify, pass } = setUp(grantWith());
    const claims = await verify();
    pass(479);
    expect(verify()).toBe(claims);
    expect(service.calls).toHaveLength(1);
    pass(2);
    service.answer = stale();
    expect(verify()).toBe(claims);
    expect(verify()).toBe(claims);
    expect(service.calls).toHaveLength(2);
    pass(118);
    expect(verify()).toBe(claims);
    pass(1);
    expect(await verdictOf(verify)).toBe('trust-stale');
    service.answer = grantWith();
    expect(await verdictOf(verify)).toBe('good');
  });

  test('a renewal without waiting takes over what has changed', async () => {
    const { service, verify, pass } = setUp(grantWith());
    await verify();
    pass(500);
    service.answer = grantWith({ roles: ['writer'] });
    void verify();
    await new Promise(setImmediate);
    expect((await verify()).roles).toEqual(['writer']);
    expect(service.calls).toHaveLength(2);
  });

  test.each([
    ['forward', 600_000],
    ['back', -600_000],
  ])('a wall clock that is set %s makes a grant too old', async (_direction, byMs) => {
    const { service, verify, clock } = setUp(grantWith());
    await verify();
    clock.wallMs += byMs;
    await verify();
    expect(service.calls).toHaveLength(2);
  });

  test('a key ends when it expires, and not before', async () => {
    const { verify, pass } = setUp(grantWith({ expiresAt: new Date(START_MS + 60_000), maxAge: 300 }));
    expect((await verify()).expiresAtSeconds).toBe(START_MS / 1000 + 60);
    pass(59);
    expect(await verdictOf(verify)).toBe('good');
    pass(1);
    expect(await verdictOf(verify)).toBe('expired');
  });

  test('an unknown key is refused for 10 seconds without another look-up', async () => {
    const { service, verify, pass } = setUp(null);
    expect(await verdictOf(verify)).toBe('unknown');
    pass(9.9);
    expect(await verdictOf(verify)).toBe('unknown');
    expect(service.calls).toHaveLength(1);
    service.answer = grantWith();
    pass(0.1);
    expect(await verdictOf(verify)).toBe('good');
  });

  test('a failed look-up is not remembered', async () => {
    const { service, verify } = setUp(stale());
    expect(await verdictOf(verify)).toBe('trust-stale');
    service.answer = grantWith();
    expect(await verdictOf(verify)).toBe('good');
  });
});

describe('rules', () => {
  test.each<[string, string[], string | null, string]>([
    ['no networks, no address', [], null, 'good'],
    ['inside', ['192.0.2.0/24', '2001:db8::/32'], '192.0.2.9', 'good'],
    ['inside, IPv6', ['192.0.2.0/24', '2001:db8::/32'], '2001:db8::9', 'good'],
    ['outside', ['192.0.2.0/24'], '198.51.100.1', 'network'],
    ['no address', ['192.0.2.0/24'], null, 'network'],
    ['networks that this version cannot read', ['something new'], '192.0.2.9', 'network'],
  ])('networks: %s', async (_name, allowedNetworks, address, expected) => {
    const { verify } = setUp(grantWith({ allowedNetworks }));
    expect(await verdictOf(() => verify({ address }))).toBe(expected);
    expect(await verdictOf(() => verify({ address }))).toBe(expected);
  });

  test('the audience is compared as that of a token', async () => {
    const { verify, policy } = setUp(grantWith());
    expect(await verdictOf(() => verify({ requiredAudience: 'postern' }))).toBe('good');
    expect(await verdictOf(() => verify({ requiredAudience: 'billing' }))).toBe('token-refused');
    policy.audiences = ['billing'];
    expect(await verdictOf(verify)).toBe('unknown');
  });

  test.each<[string, Partial<ApiKeyGrant>]>([
    ['id', { id: '' }],
    ['subject', { subject: '' }],
    ['revocation id', { revocationId: '' }],
    ['audience', { audience: '' }],
    ['subject type', { subjectType: SubjectType.SUBJECT_TYPE_UNSPECIFIED }],
    ['known subject type', { subjectType: 99 as SubjectType }],
  ])('an answer without a %s is not accepted', async (_name, fields) => {
    const { verify } = setUp(grantWith(fields));
    expect(await verdictOf(verify)).toBe('trust-stale');
  });
});

describe('floods', () => {
  test('of well-formed unknown keys: 16 calls at a time, 100 wait, and known keys are not held up', async () => {
    const { service, verify, pass } = setUp(grantWith());
    const claims = await verify();
    let answer: (grant: null) => void = () => undefined;
    service.answer = new Promise((resolve) => (answer = resolve));
    const flood = Array.from({ length: 500 }, (_, index) =>
      verdictOf(() => verify({ key: keyOf(1_000 + index) })),
    );
    expect(verify()).toBe(claims);
    // A renewal does not wait for them either.
    pass(601);
    const renewed = verdictOf(verify);
    await new Promise(setImmediate);
    expect(service.running).toBe(17);
    service.answer = null;
    answer(null);
    const verdicts = await Promise.all(flood);
    expect(verdicts.filter((verdict) => verdict === 'unknown')).toHaveLength(116);
    expect(verdicts.filter((verdict) => verdict === 'server-overloaded')).toHaveLength(384);
    expect(service.mostRunning).toBe(17);
    await renewed;
  });

  test('remembers 10,000 keys and as many unknown ones', async () => {
    const { service, resolver, verify } = setUp(grantWith());
    for (let index = 0; index < 10_050; index += 1) await verify({ key: keyOf(index) });
    expect(resolver.size).toBe(10_000);
    service.calls = [];
    await verify({ key: keyOf(10_049) });
    expect(service.calls).toHaveLength(0);
    await verify({ key: keyOf(0) });
    expect(service.calls).toHaveLength(1);
  });
});

test('no refusal shows the key', async () => {
  const { verify, service } = setUp(null);
  const shown: string[] = [];
  const texts = [keyOf(7), keyOf(8), `${keyOf(9)}x`];
  for (const text of texts) {
    await Promise.resolve()
      .then(() => verify({ key: text }))
      .catch((error: unknown) => shown.push(inspect(error, { depth: 10, showHidden: true })));
    service.answer = stale();
  }
  expect(shown).toHaveLength(3);
  for (const text of texts) expect(shown.join()).not.toContain(text);
});

describe('R14 answering for a relay', () => {
  const sha256 = createHash('sha256').update(key).digest();

  test('asks once for all, and gives what is left of the time', async () => {
    const { service, resolver, pass, verify } = setUp(grantWith());
    const [first, same] = await Promise.all([resolver.answerOf(sha256), resolver.answerOf(sha256)]);
    expect([first, same]).toEqual([grantWith(), grantWith()]);
    pass(100);
    expect(await resolver.answerOf(sha256)).toEqual(grantWith({ maxAge: 500 }));
    // Its own verifications use the same answer.
    await verify();
    expect(service.calls).toHaveLength(1);
  });

  test('has none for a key that is unknown, revoked or expired', async () => {
    const unknown = setUp(null);
    expect(await unknown.resolver.answerOf(sha256)).toBeNull();
    expect(await unknown.resolver.answerOf(sha256)).toBeNull();
    expect(unknown.service.calls).toHaveLength(1);
    const revoked = setUp(grantWith());
    await revoked.resolver.answerOf(sha256);
    revoked.revoke(grantWith().id);
    expect(await revoked.resolver.answerOf(sha256)).toBeNull();
    const expiring = setUp(grantWith({ expiresAt: new Date(START_MS + 60_000) }));
    await expiring.resolver.answerOf(sha256);
    expiring.pass(60);
    expect(await expiring.resolver.answerOf(sha256)).toBeNull();
  });

  test('asks again for one whose rights have changed', async () => {
    const { service, resolver, revoke } = setUp(grantWith());
    await resolver.answerOf(sha256);
    revoke(grantWith().revocationId);
    const now = grantWith({ revocationId: 'b7d1f6ce-6a3c-4f3e-8a4e-00000000000f', roles: [] });
    service.answer = now;
    expect(await resolver.answerOf(sha256)).toEqual(now);
    expect(service.calls).toHaveLength(2);
  });
});
