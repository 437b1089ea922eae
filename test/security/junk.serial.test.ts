import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { VerifiedTokenCache } from '../../src/tokens/verify/verified-token-cache.ts';
import { hostileTokens } from './hostile-tokens.ts';
import { verifierUnderTest } from './verifier-under-test.ts';

test('T01 T10 50,000 mutated tokens cause no exception and no slow check, and time grows no faster than length', async () => {
  const bench = fileURLToPath(new URL('../soak/fuzz-guard.mjs', import.meta.url));
  const child = spawn(process.execPath, [bench, '--inputs', '50000', '--seed', '7'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  const output = await text(child.stdout);
  const [exitCode] = (await ended) as [number | null];
  const lines = output.trimEnd().split('\n');
  expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({
    passed: true,
    exceptions: 0,
    linear: true,
    quick: true,
  });
  expect(exitCode).toBe(0);
}, 60_000);

test('T24 junk does not change the verified-token cache, and valid tokens fill it up to its limit', async () => {
  const maxBytes = 100_000;
  const cache = new VerifiedTokenCache(maxBytes);
  const { verifier, issue, setting } = await verifierUnderTest('ES256', { cache });
  const good = await issue();
  expect((await verifier.verify(good)).ok).toBe(true);
  const before = [cache.size, cache.bytes];
  const [header = '', claims = ''] = good.split('.');
  for (const { token } of hostileTokens(await setting())) await verifier.verify(token);
  for (let number = 0; number < 20_000; number++) {
    const junk = randomBytes(64).toString('base64url');
    // Every tenth costs a signature check: its form and its kid are valid.
    await verifier.verify(number % 10 === 0 ? `${header}.${claims}.${junk}` : `${header}.${junk}.${junk}`);
  }
  expect([cache.size, cache.bytes]).toEqual(before);
  // Answered at once: it is still cached.
  expect(verifier.verify(good)).not.toBeInstanceOf(Promise);

  for (let number = 0; number < 300; number++) {
    expect((await verifier.verify(await issue())).ok).toBe(true);
    expect(cache.bytes).toBeLessThanOrEqual(maxBytes);
  }
  expect(cache.size).toBeLessThan(300);
  expect(verifier.verify(good)).toBeInstanceOf(Promise);
});
