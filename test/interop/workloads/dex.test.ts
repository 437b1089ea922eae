import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { createAuthority } from '../../support/certificates.ts';
import { describeWith } from '../tool.ts';
import { until } from '../until.ts';
import {
  claimsOf,
  type ExchangeFixture,
  headerOf,
  openExchangeFixture,
  withCutSignature,
  withoutAlgorithm,
} from './exchange-fixture.ts';
import { type RunningDex, startDex } from './running-dex.ts';

/** A key that is unknown is asked for at most once in 10 seconds. */
const NEW_KEY_LIMIT_MS = 30_000;

describeWith('dex', 'Dex as an issuer, over https with a certificate authority of its own', () => {
  const authority = createAuthority('dex');
  let fixture: ExchangeFixture;
  const cleanups: (() => Promise<void>)[] = [];
  let dex: RunningDex;
  let issuer: string;
  let accountId: string;
  beforeAll(async () => {
    fixture = await openExchangeFixture();
    cleanups.push(() => fixture.close());
    dex = await startDex(fixture.folder, authority);
    cleanups.push(() => dex.stop());
    issuer = dex.issuer;
    const caFile = join(fixture.folder, 'ca.pem');
    writeFileSync(caFile, authority.cert);
    accountId = String(
      (await fixture.json('service', 'create', 'deploy', '--role', 'deployer'))['client_id'],
    );
    await fixture.json('issuer', 'add', issuer, '--ca', caFile, '--audience', 'pipeline');
    const { sub } = claimsOf(await dex.idTokenOf('ann', 'pipeline'));
    await fixture.json('service', 'bind', 'deploy', '--issuer', issuer, '--claim', `sub=${String(sub)}`);
  });
  afterAll(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });

  test('its ID token is exchanged for a token of the bound account', async () => {
    const token = await dex.idTokenOf('ann', 'pipeline');
    expect(headerOf(token)).toEqual({ alg: 'RS256', kid: expect.any(String) as unknown });
    expect(await fixture.verified(token)).toMatchObject({
      subject: accountId,
      subject_name: 'deploy',
      subject_type: 'SERVICE',
      roles: ['deployer'],
    });
  });

  test('another user, another client, a cut signature and alg none are refused', async () => {
    const token = await dex.idTokenOf('ann', 'pipeline');
    expect(await fixture.verdict(await dex.idTokenOf('ben', 'pipeline'))).toBe('IDENTITY_NOT_BOUND');
    expect(await fixture.verdict(await dex.idTokenOf('ann', 'elsewhere'))).toBe('TOKEN_CLAIMS_INVALID');
    expect(await fixture.verdict(withCutSignature(token))).toBe('TOKEN_SIGNATURE_INVALID');
    expect(await fixture.verdict(withoutAlgorithm(token))).toBe('TOKEN_ALG_NOT_ALLOWED');
    expect(await fixture.refusedStep(withCutSignature(token))).toBe('signature');
  });

  test('a new key is fetched when a token names it; tokens of the one that is gone are refused', async () => {
    const before = await dex.idTokenOf('ann', 'pipeline');
    expect(await fixture.verdict(before)).toBe('OK');
    await dex.restartWithNewKeys();
    const after = await dex.idTokenOf('ann', 'pipeline');
    expect(headerOf(after)['kid']).not.toBe(headerOf(before)['kid']);
    await until(async () => (await fixture.verdict(after)) === 'OK', NEW_KEY_LIMIT_MS);
    expect(await fixture.verdict(before)).toBe('TOKEN_KEY_UNKNOWN');
  }, 60_000);
});
