import { expect, test } from '@jest/globals';

import { legacyFindings } from '../../../src/cli/doctor/legacy-findings.ts';
import { Secret } from '../../../src/domain/secret.ts';

const untilMs = Date.UTC(2027, 0, 31);
const secret = new Secret('0b9d7f1e3c5a4826b8d0f2e4c6a1937555d3b1f9e7c5a38617294b6d8f0e2c4a');

test('doctor says which tokens of the earlier login are accepted, and not the secret', () => {
  const claims = { subjectClaims: ['user_id', 'sub'], issuers: null, audiences: ['web', 'app'] };
  const findings = legacyFindings({ legacyHs256: { secret, untilMs, claims } }, untilMs - 1);
  expect(findings).toEqual([
    {
      check: 'settings',
      verdict: 'ok',
      message:
        'tokens of the earlier login are accepted until 2027-01-31T00:00:00Z: user in user_id or sub, no iss, aud web or app',
    },
  ]);
  expect(JSON.stringify(findings)).not.toContain(secret.reveal());
  expect(legacyFindings({ legacyHs256: { secret, untilMs, claims } }, untilMs)).toEqual([]);
  expect(legacyFindings({ legacyHs256: null }, 0)).toEqual([]);
});
