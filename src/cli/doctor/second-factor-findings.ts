import type { Settings } from '../../config/load-settings.ts';
import { ADMIN_ROLE } from '../../domain/caller.ts';
import { budgetOf } from '../../domain/operation-call.ts';
import type { Database } from '../../database/database.ts';
import {
  countUsersWithoutFactor,
  listStoredPasskeys,
  listRolesWithoutUser,
  listStoredTotps,
} from '../../features/second-factors/stored-factor-queries.ts';
import { PasskeyMacs } from '../../features/second-factors/passkeys/passkey-macs.ts';
import { TotpSecrets } from '../../features/second-factors/totp/totp-secrets.ts';
import { exitCodes } from '../exit-codes.ts';
import { readAllPages } from '../read-all-pages.ts';
import { existingRootKey } from './existing-root-key.ts';
import { faultOf, type Finding } from './finding.ts';

const MAX_NAMED = 5;

/**
 * Says who has a role that needs a second factor and none, and checks that Postern wrote every factor as it is stored: one that was
 * altered lets nobody in.
 */
export async function secondFactorFindings(
  database: Database,
  settings: Settings,
  limitMs: number,
): Promise<Finding[]> {
  try {
    return [
      ...(await policyFindings(database, settings, limitMs)),
      ...(await storedFactorFindings(database, settings, limitMs)),
    ];
  } catch (error) {
    return [faultOf('keys', error)];
  }
}

/** Where passkeys are used; no fault, since the service runs without them. */
export function passkeyFinding({ passkeys }: Settings): Finding {
  const message =
    'disabledBecause' in passkeys
      ? passkeys.disabledBecause
      : `passkeys belong to ${passkeys.rpId} and are used at ${passkeys.origins.join(', ')}`;
  return { check: 'settings', verdict: 'ok', message };
}

/** Only advice: an administrator without a factor logs in, without the role, and can add one. */
async function policyFindings(
  database: Database,
  { secondFactorRoles }: Settings,
  limitMs: number,
): Promise<Finding[]> {
  const warning = (message: string, advice: string): Finding => ({
    check: 'settings',
    verdict: 'warning',
    message,
    advice,
  });
  const budget = () => budgetOf(limitMs, Date.now());
  const findings: Finding[] = [];
  if (
    !secondFactorRoles.includes(ADMIN_ROLE) &&
    (await database.run(budget(), (db) => countUsersWithoutFactor(db, [ADMIN_ROLE], 0))).users > 0
  )
    findings.push(
      warning(
        'administrators can log in with a password alone',
        `Let each add a second factor (postern user enrol-totp), then set POSTERN_SECOND_FACTOR_ROLES=${[ADMIN_ROLE, ...secondFactorRoles].join(',')}.`,
      ),
    );
  if (secondFactorRoles.length === 0) return findings;
  const unused = await database.run(budget(), (db) => listRolesWithoutUser(db, secondFactorRoles));
  if (unused.length > 0)
    findings.push(
      warning(
        `no user has these roles of POSTERN_SECOND_FACTOR_ROLES: ${unused.join(', ')}`,
        'Check their spelling: a misspelt role protects nothing.',
      ),
    );
  const { withoutFactor, emails } = await database.run(budget(), (db) =>
    countUsersWithoutFactor(db, secondFactorRoles, MAX_NAMED),
  );
  if (withoutFactor === 0) return findings;
  const more = withoutFactor > emails.length ? ` and ${withoutFactor - emails.length} more` : '';
  findings.push(
    warning(
      `users with a role of POSTERN_SECOND_FACTOR_ROLES who have no second factor: ${emails.join(', ')}${more}`,
      'Their tokens do not have the role. They can add a factor themselves, or you run: postern user enrol-totp --email E',
    ),
  );
  return findings;
}

async function storedFactorFindings(
  database: Database,
  settings: Settings,
  limitMs: number,
): Promise<Finding[]> {
  const budget = () => budgetOf(limitMs, Date.now());
  const totps = await readAllPages((page) => database.run(budget(), (db) => listStoredTotps(db, page)));
  const passkeys = await readAllPages((page) => database.run(budget(), (db) => listStoredPasskeys(db, page)));
  const stored = totps.length + passkeys.length;
  if (stored === 0) return [];
  const root = await existingRootKey(database, settings, budget());
  if (root === null) return [unreadableFactors(stored, 'the root key is missing')];
  const secrets = new TotpSecrets(() => root.derive('totp'));
  const macs = new PasskeyMacs(() => root.derive('factor'));
  const altered = [
    ...totps.filter((totp) => 'fault' in secrets.open(totp, totp.sealedSecret)),
    ...passkeys.filter((passkey) => !macs.isRight(passkey)),
  ];
  // One finding: a service that started without its root key has made another one.
  if (altered.length === stored && stored > 1)
    return [unreadableFactors(stored, 'the root key is probably another one')];
  if (altered.length > 0) return altered.map(({ id, userId }) => alteredFactor(id, userId));
  return [
    { check: 'keys', verdict: 'ok', message: `every second factor is as Postern stored it (${stored})` },
  ];
}

function unreadableFactors(stored: number, cause: string): Finding {
  return {
    check: 'keys',
    verdict: 'fault',
    message: `none of the second factors (${stored}) can be read: ${cause}`,
    advice:
      'Stop every instance and restore the table refresh_root from a backup. Without one, reset the factors of each user: postern user reset-factors --email E',
    exitCode: exitCodes.refused,
  };
}

function alteredFactor(id: string, userId: string): Finding {
  return {
    check: 'keys',
    verdict: 'fault',
    message: `the second factor ${id} of the user ${userId} was not stored by Postern, or was altered; it lets nobody in`,
    advice:
      'Something other than Postern wrote to the factors table: find out who did. Then run postern user reset-factors for the user.',
    exitCode: exitCodes.refused,
  };
}
