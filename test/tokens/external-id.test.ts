import { describe, expect, test } from '@jest/globals';

import { decode, forge, Specimen, type TokenMode } from '../security/forge.ts';
import { verifierUnderTest } from '../security/verifier-under-test.ts';
import { verifierBefore } from './release-before/verifier-before.ts';

const modes: readonly TokenMode[] = ['ES256', 'RS256', 'EdDSA', 'HS256'];
const claimsOf = (token: string) => JSON.parse(decode(token.split('.')[1] ?? '')) as Record<string, unknown>;

describe.each(modes)('the id of another program in a token, %s', (mode) => {
  test('T26 is the claim external_id, and what was signed is what is read', async () => {
    const { issue, verifier } = await verifierUnderTest(mode);
    for (const externalId of [
      'auth0|5f7c8ec7c33c6c004bbafe82',
      '4711',
      'größe "ß" \\ 日本',
      '9f0c'.repeat(60),
    ]) {
      const token = await issue({ externalId });
      expect(claimsOf(token)).toMatchObject({ external_id: externalId });
      expect(await verifier.verify(token)).toMatchObject({ ok: true, claims: { externalId } });
    }
  });

  test('T26 is left out of the token of who has none', async () => {
    const { issue, verifier } = await verifierUnderTest(mode);
    const token = await issue({ externalId: null });
    expect(claimsOf(token)).not.toHaveProperty('external_id');
    expect(await verifier.verify(token)).toMatchObject({ ok: true, claims: { externalId: null } });
  });

  test('a verifier of the release before accepts the token, and knows the same person in it', async () => {
    const subject = await verifierUnderTest(mode);
    const token = await subject.issue({ subject: 'u-1', externalId: 'auth0|5f7c8ec7c33c6c004bbafe82' });
    const verdict = await (await verifierBefore(subject)).verify(token);
    expect(verdict).toMatchObject({ ok: true, claims: { subject: 'u-1', roles: ['user'] } });
    expect(verdict.ok && verdict.claims).not.toHaveProperty('externalId');
  });

  test.each([[42], [''], ['x'.repeat(257)], ['a\nb'], ['\ud800'], [['4711']], [{}], [null], [true]])(
    'T19 an external_id that is none (%j) is refused, with the shared secret ignored',
    async (externalId) => {
      const { setting, signingKey, verifier } = await verifierUnderTest(mode);
      const specimen = new Specimen(await setting());
      const token = forge(
        mode,
        specimen.headerWith({}),
        specimen.claimsWith({ external_id: externalId }),
        signingKey,
      );
      const verdict = await verifier.verify(token);
      if (mode === 'HS256') expect(verdict).toMatchObject({ ok: true, claims: { externalId: null } });
      else expect(verdict).toMatchObject({ ok: false, refusal: { reason: 'TOKEN_CLAIMS_INVALID' } });
    },
  );
});
