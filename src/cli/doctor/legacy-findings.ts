import type { Settings } from '../../config/load-settings.ts';
import type { Finding } from './finding.ts';

/** Says which tokens of an earlier login are accepted. Once their time is over, the settings have a warning instead. */
export function legacyFindings({ legacyHs256 }: Pick<Settings, 'legacyHs256'>, nowMs: number): Finding[] {
  if (legacyHs256 === null || legacyHs256.untilMs <= nowMs) return [];
  const { subjectClaims, issuers, audiences } = legacyHs256.claims;
  const until = new Date(legacyHs256.untilMs).toISOString().replace('.000Z', 'Z');
  return [
    {
      check: 'settings',
      verdict: 'ok',
      message:
        `tokens of the earlier login are accepted until ${until}: user in ${subjectClaims.join(' or ')}, ` +
        `${accepted('iss', issuers)}, ${accepted('aud', audiences)}`,
    },
  ];
}

function accepted(claim: string, values: readonly string[] | null): string {
  return values === null ? `no ${claim}` : `${claim} ${values.join(' or ')}`;
}
