import { generateKeyPairSync } from 'node:crypto';

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import {
  type AlgorithmName,
  type Deviation,
  SoftwareAuthenticator,
} from '../../../support/software-authenticator.ts';
import { assertion, judgeAssertion, ORIGIN } from './answers.ts';

const authenticator = new SoftwareAuthenticator({ origin: ORIGIN });
const algorithms: readonly AlgorithmName[] = ['ES256', 'EdDSA', 'RS256'];

describe('verifyAssertion', () => {
  it.each(algorithms)('accepts a passkey of %s', (algorithm) => {
    const synced = new SoftwareAuthenticator({ origin: ORIGIN, algorithm, isSynced: true });
    expect(judgeAssertion(synced, assertion(synced))).toBe('accepted');
  });

  const wrong: [string, Deviation, string][] = [
    ['of a page of another site', { origin: 'https://example.org' }, 'origin'],
    ['of a page below an origin', { origin: `${ORIGIN}.evil.example` }, 'origin'],
    ['of the same host on another port', { origin: `${ORIGIN}:8443` }, 'origin'],
    ['made by the call for a registration', { type: 'webauthn.create' }, 'client-data-type'],
    ['of another challenge', { challenge: 'AAAA' }, 'challenge'],
    ['in a frame of another site', { clientData: { crossOrigin: true } }, 'cross-origin'],
    ['with a topOrigin', { clientData: { topOrigin: ORIGIN } }, 'cross-origin'],
    [
      'with a token binding',
      { clientData: { tokenBinding: { status: 'present', id: 'AA' } } },
      'client-data-malformed',
    ],
    ['for another rp id', { rpId: 'evil.example' }, 'rp-id'],
    ['without user presence', { flags: 0x04 }, 'user-not-present'],
    ['without user verification', { flags: 0x01 }, 'user-not-verified'],
    ['that has become syncable', { flags: 0x0d }, 'backup-flags'],
    ['synced though it cannot be', { flags: 0x15 }, 'backup-flags'],
    ['with a flag for a credential that is not there', { flags: 0x45 }, 'authenticator-data-malformed'],
    ['with a flag for extensions that are not there', { flags: 0x85 }, 'authenticator-data-malformed'],
    [
      'signed by another key',
      { signer: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey },
      'signature',
    ],
    ['of another user', { userHandle: Buffer.alloc(16, 7).toString('base64url') }, 'user-handle'],
    ['of an empty user', { userHandle: '' }, 'user-handle'],
    ['of nobody', { userHandle: null }, 'user-handle'],
  ];
  it.each(wrong)('refuses a passkey %s', (_name, deviation, fault) => {
    expect(judgeAssertion(authenticator, assertion(authenticator, deviation))).toBe(fault);
  });

  it.each([
    [0, 0, 'accepted'],
    [0, 1, 'accepted'],
    [5, 6, 'accepted'],
    [5, 5, 'counter'],
    [5, 4, 'counter'],
    [5, 0, 'counter'],
  ])('takes a counter that was %d and is %d: %s', (before, signCount, verdict) => {
    const json = assertion(authenticator, { signCount });
    expect(judgeAssertion(authenticator, json, { signCount: before })).toBe(verdict);
  });

  it('refuses a stored key that cannot be read', () => {
    const json = assertion(authenticator);
    expect(judgeAssertion(authenticator, json, { coseKey: authenticator.coseKey.subarray(1) })).toBe('key');
  });

  it.each<[string, (json: string) => string]>([
    ['with a member twice', (json) => json.replace('{', '{"type":"public-key",')],
    ['with padding', (json) => json.replace(/"signature":"([^"]*)"/, '"signature":"$1="')],
    ['in the alphabet of base64', (json) => json.replace(/"signature":"../, '"signature":"+/')],
    ['with a rawId of another', (json) => json.replace(/"rawId":"../, '"rawId":"AA')],
    ['of another type', (json) => json.replace('public-key', 'password')],
    ['without a response', (json) => json.replace('"response"', '"answer"')],
    ['of more than 16 KiB', (json) => json + ' '.repeat(16_384)],
    ['nested 10,000 deep', () => '{"id":'.repeat(2_000)],
  ])('refuses an answer %s', (_name, change) => {
    expect(judgeAssertion(authenticator, change(assertion(authenticator)))).toBe('malformed');
  });

  it('never throws and never accepts, whatever is changed in the answer', () => {
    const json = assertion(authenticator);
    const binary = JSON.parse(json) as { response: Record<string, string> };
    fc.assert(
      fc.property(
        fc.constantFrom('clientDataJSON', 'authenticatorData', 'signature'),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (member, position, difference) => {
          const bytes = Buffer.from(binary.response[member] ?? '', 'base64url');
          const at = position % bytes.length;
          bytes.writeUInt8(bytes.readUInt8(at) ^ difference, at);
          const response = { ...binary.response, [member]: bytes.toString('base64url') };
          expect(judgeAssertion(authenticator, JSON.stringify({ ...binary, response }))).not.toBe('accepted');
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
