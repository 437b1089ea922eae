import { describe, expect, test } from '@jest/globals';

import { AUTHENTICATED, MALFORMED_AUTHENTICATION } from '../../clients/conformance/step-up-vectors.ts';
import { importSharedSecret } from '../../src/tokens/issue/shared-secret-key.ts';
import { forge, json, secretKey, Specimen, type TokenMode } from '../security/forge.ts';
import { legacySecret, startSeconds, verifierUnderTest } from '../security/verifier-under-test.ts';

/** The claims of the vectors, as a verifier returns them. */
function expected({ acr, amr, auth_time: authTime }: { acr?: string; amr?: string[]; auth_time?: number }) {
  return {
    acr: acr ?? null,
    amr: amr ?? [],
    authenticatedAtSeconds: authTime === undefined ? null : Math.floor(authTime),
  };
}

const UNKNOWN = { acr: null, amr: [], authenticatedAtSeconds: null };

describe.each<TokenMode>(['ES256', 'RS256', 'EdDSA', 'HS256'])('M50 %s', (mode) => {
  test('acr, amr and auth_time are read', async () => {
    const { setting, signingKey, verifier } = await verifierUnderTest(mode);
    const specimen = new Specimen(await setting());
    for (const [name, claims] of AUTHENTICATED) {
      const token = forge(mode, json(specimen.header), specimen.claimsWith({ ...claims }), signingKey);
      const verdict = await verifier.verify(token);
      expect([name, verdict]).toMatchObject([name, { ok: true, claims: expected(claims) }]);
    }
  });

  test('malformed ones are refused, and with the shared secret read as absent', async () => {
    const { setting, signingKey, verifier } = await verifierUnderTest(mode);
    const specimen = new Specimen(await setting());
    for (const [name, claims] of MALFORMED_AUTHENTICATION) {
      const token = forge(mode, json(specimen.header), specimen.claimsWith({ ...claims }), signingKey);
      const verdict = await verifier.verify(token);
      // What another program with the secret means by these names is its own affair, but no proof here.
      const isShared = mode === 'HS256';
      const refusal = { ok: false, refusal: { reason: 'TOKEN_CLAIMS_INVALID' } };
      expect([name, verdict]).toMatchObject([name, isShared ? { ok: true, claims: UNKNOWN } : refusal]);
    }
  });
});

test('M50 a token of an earlier login proves no level, whatever it says', async () => {
  const legacyHs256 = { key: importSharedSecret(legacySecret), untilMs: (startSeconds + 3600) * 1000 };
  const { verifier } = await verifierUnderTest('ES256', { legacyHs256 });
  for (const [name, claims] of [...AUTHENTICATED, ...MALFORMED_AUTHENTICATION]) {
    const text = json({ user_id: 42, exp: startSeconds + 1800, ...claims });
    const token = forge('HS256', json({ alg: 'HS256', typ: 'JWT' }), text, secretKey(legacySecret.reveal()));
    expect([name, await verifier.verify(token)]).toMatchObject([name, { ok: true, claims: UNKNOWN }]);
  }
});
