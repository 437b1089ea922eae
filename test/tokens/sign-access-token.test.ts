import { randomBytes } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import jwt from 'jsonwebtoken';
import { createTokenId } from '../../src/tokens/issue/sign-access-token.ts';
import { decode, type TokenMode } from '../security/forge.ts';
import { sharedSecret, startSeconds, verifierUnderTest } from '../security/verifier-under-test.ts';

const modes: readonly TokenMode[] = ['ES256', 'RS256', 'EdDSA', 'HS256'];

function partsOf(token: string): [header: Record<string, unknown>, claims: Record<string, unknown>] {
  const [header = '', claims = ''] = token.split('.');
  return [decode(header), decode(claims)].map((text) => JSON.parse(text) as Record<string, unknown>) as [Record<string, unknown>, Record<string, unknown>]; // prettier-ignore
}

describe.each(modes)('an issued token, %s', (mode) => {
  test('T26 a user token has the header and the claims of the contract and no others', async () => {
    const { issue, signer } = await verifierUnderTest(mode);
    const token = await issue({ subject: 'u-1', sessionId: 's-1', tokenId: 't-1', roles: ['admin', 'user'] });
    const [header, claims] = partsOf(token);
    expect(header).toEqual(
      mode === 'HS256' ? { alg: mode, typ: 'JWT' } : { alg: mode, kid: signer.kid, typ: 'at+jwt' },
    );
    expect(claims).toEqual({
      iss: 'https://auth.example/realm',
      sub: 'u-1',
      aud: 'postern',
      exp: startSeconds + 600,
      iat: startSeconds,
      jti: 't-1',
      sid: 's-1',
      client_id: 'postern',
      roles: ['admin', 'user'],
    });
  });

  test('T26 a service token has no sid', async () => {
    const { issue, verifier } = await verifierUnderTest(mode);
    const token = await issue({ sessionId: null, subject: 'billing', clientId: 'billing' });
    expect(Object.keys(partsOf(token)[1])).not.toContain('sid');
    expect(await verifier.verify(token)).toMatchObject({
      ok: true,
      claims: { subjectType: 'service', sessionId: null },
    });
  });

  test('T26 is at most 1.5 KB, with twenty roles too', async () => {
    const { issue } = await verifierUnderTest(mode);
    expect((await issue()).length).toBeLessThan(mode === 'RS256' ? 1024 : 640);
    const twenty = Array.from({ length: 20 }, (_, index) => `role-number-${index}`);
    expect((await issue({ roles: twenty })).length).toBeLessThanOrEqual(1536);
    await expect(issue({ roles: [...twenty, ...twenty, ...twenty, ...twenty] })).rejects.toThrow(RangeError);
  });

  test('G12 name and actors are read as they were signed', async () => {
    const { issue, verifier } = await verifierUnderTest(mode);
    const actor = { subject: 'a-2', name: 'orders', actor: { subject: 'a-1', name: null, actor: null } };
    const token = await issue({ sessionId: null, actor, subjectName: 'billing' });
    expect(partsOf(token)[1]).toMatchObject({
      name: 'billing',
      act: { sub: 'a-2', name: 'orders', act: { sub: 'a-1' } },
    });
    expect(await verifier.verify(token)).toMatchObject({
      ok: true,
      claims: { actor, subjectName: 'billing' },
    });
  });

  test('the verifier reads the claims that were signed', async () => {
    const { issue, verifier, signer } = await verifierUnderTest(mode);
    const verdict = await verifier.verify(
      await issue({ subject: 'u-1', sessionId: 's-1', tokenId: 't-1', audience: 'billing' }),
    );
    expect(verdict).toEqual({
      ok: true,
      claims: {
        subject: 'u-1',
        subjectType: 'user',
        sessionId: 's-1',
        tokenId: 't-1',
        clientId: 'postern',
        externalId: null,
        subjectName: null,
        actor: null,
        acr: null,
        amr: [],
        authenticatedAtSeconds: null,
        credentialKind: 'access-token',
        issuer: 'https://auth.example/realm',
        audience: ['billing'],
        roles: ['user'],
        issuedAtSeconds: startSeconds,
        expiresAtSeconds: startSeconds + 600,
        keyId: signer.kid,
      },
    });
  });
});

test('T26 a token id has 128 random bits', () => {
  expect(createTokenId(randomBytes(16))).toMatch(/^[A-Za-z0-9_-]{22}$/);
  expect(createTokenId(new Uint8Array(16))).toBe('AAAAAAAAAAAAAAAAAAAAAA');
  expect(() => createTokenId(randomBytes(15))).toThrow(RangeError);
});

describe('HS256 mode and jsonwebtoken', () => {
  const issuer = 'https://auth.example/realm';

  test('Postern verifies its tokens', async () => {
    const { verifier } = await verifierUnderTest('HS256');
    const token = jwt.sign({ sub: '42', iat: startSeconds }, sharedSecret.reveal(), {
      expiresIn: '30m',
      audience: 'postern',
      issuer,
    });
    expect(await verifier.verify(token)).toMatchObject({
      ok: true,
      claims: {
        subject: '42',
        subjectType: 'user',
        tokenId: null,
        sessionId: null,
        clientId: null,
        roles: [],
        expiresAtSeconds: startSeconds + 1800,
      },
    });
  });

  test('jsonwebtoken verifies our tokens', async () => {
    const { issue } = await verifierUnderTest('HS256');
    const options = {
      algorithms: ['HS256' as const],
      audience: 'postern',
      issuer,
      clockTimestamp: startSeconds,
    };
    expect(jwt.verify(await issue({ subject: 'u-1' }), sharedSecret.reveal(), options)).toMatchObject({
      sub: 'u-1',
    });
  });
});
