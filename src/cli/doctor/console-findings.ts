import { consoleUrl } from '../../compose/console-url.ts';
import type { Settings } from '../../config/load-settings.ts';
import type { Database } from '../../database/database.ts';
import { ADMIN_ROLE } from '../../domain/caller.ts';
import { budgetOf } from '../../domain/operation-call.ts';
import { countUsersWithoutFactor } from '../../features/second-factors/stored-factor-queries.ts';
import { formatListenAddress, isLocalAddress, isLocalUrl } from '../../net/listen-address.ts';
import { faultOf, type Finding } from './finding.ts';

/** Where the console is, and what would keep a browser from using it. Empty when it is off. */
export function consoleFindings(
  settings: Pick<Settings, 'console' | 'consoleListen' | 'httpListen' | 'issuer' | 'passkeys' | 'tlsCert'>,
): Finding[] {
  if (!settings.console) return [];
  const { passkeys, tlsCert } = settings;
  const listener = settings.consoleListen ?? settings.httpListen;
  const issuer = new URL(settings.issuer);
  const isFixed = listener.kind === 'unix' || listener.port !== 0;
  const url = isFixed ? consoleUrl(listener, { isSecured: tlsCert !== null }) : null;
  const place = url ?? `${formatListenAddress(listener)}${listener.kind === 'unix' ? ', for a proxy' : ''}`;
  const findings: Finding[] = [
    { check: 'settings', verdict: 'ok', message: `the console is served at ${place}` },
  ];
  const isPlain = tlsCert === null && issuer.protocol === 'http:';
  if (isPlain && !isLocalAddress(listener) && !isLocalUrl(issuer))
    findings.push({
      check: 'settings',
      verdict: 'warning',
      message: `browsers keep no session of the console at ${issuer.origin}, because it has no TLS`,
      advice:
        'Set POSTERN_TLS_CERT and POSTERN_TLS_KEY, or let a proxy terminate TLS and set POSTERN_ISSUER to its https URL.',
    });
  const origins = [
    ...(url === null ? [] : [new URL(url).origin]),
    ...(isLocalUrl(issuer) ? [] : [issuer.origin]),
  ];
  if (
    'origins' in passkeys &&
    origins.length > 0 &&
    !origins.some((origin) => passkeys.origins.includes(origin))
  )
    findings.push({
      check: 'settings',
      verdict: 'warning',
      message: `the console is at none of the origins of passkeys: ${passkeys.origins.join(', ')}`,
      advice: `To use passkeys there, add its origin to POSTERN_PASSKEY_ORIGINS, such as ${origins[0] ?? ''}.`,
    });
  return findings;
}

/** Says how to make the first administrator, without whom the console shows only one's own account. */
export async function administratorFindings(
  database: Database,
  settings: Pick<Settings, 'console'>,
  limitMs: number,
): Promise<Finding[]> {
  if (!settings.console) return [];
  try {
    const { users } = await database.run(budgetOf(limitMs, Date.now()), (db) =>
      countUsersWithoutFactor(db, [ADMIN_ROLE], 0),
    );
    if (users > 0) return [];
    return [
      {
        check: 'settings',
        verdict: 'warning',
        message: 'the console is on, and no enabled user is an administrator',
        advice: `Run: postern user create --email E --role ${ADMIN_ROLE}`,
      },
    ];
  } catch (error) {
    return [faultOf('settings', error)];
  }
}
