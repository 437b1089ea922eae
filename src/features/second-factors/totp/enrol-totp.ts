import { randomBytes } from 'node:crypto';

import type { AuditActor, AuditEvent } from '../../../domain/audit-event.ts';
import type { Caller } from '../../../domain/caller.ts';
import type { OperationCall } from '../../../domain/operation-call.ts';
import { Secret } from '../../../domain/secret.ts';
import { uuidV7 } from '../../../domain/uuid.ts';
import { requireValid } from '../../../domain/validation.ts';
import type { Database, Transaction } from '../../../database/database.ts';
import { insertAuditEvent } from '../../audit/audit-queries.ts';
import { requireRoomForFactor } from '../add-factor.ts';
import { authorizeFactorChange } from '../authorize-factor-change.ts';
import { factorName } from '../factor.ts';
import { insertPendingTotp } from '../factor-queries.ts';
import { otpauthUri, TOTP_SECRET_BYTES, totpSecretText } from './totp.ts';
import type { TotpSecrets } from './totp-secrets.ts';

const PENDING_SECONDS = 600;

export interface EnrolTotpDependencies {
  readonly database: Database;
  readonly totpSecrets: TotpSecrets;
  /** The `iss` of tokens, whose host authenticator apps show. */
  readonly issuerName: string;
  /** Unix time, ms. */
  readonly nowMs: () => number;
}

/** A TOTP factor that waits for its confirmation. */
export interface TotpEnrolment {
  readonly factorId: string;
  /** In base32. */
  readonly secret: Secret;
  readonly otpauthUri: Secret;
  readonly expiresAt: Date;
}

/**
 * Makes a TOTP factor for the calling user, which counts once a code of it has confirmed it. It replaces another one that waits.
 *
 * @throws Rejected `field-invalid`, `step-up-required`, `token-refused`, `factor-limit-reached`, `store-unavailable`
 */
export async function enrolTotp(
  dependencies: EnrolTotpDependencies,
  { name, caller }: { readonly name: string; readonly caller: Caller },
  call: OperationCall,
): Promise<TotpEnrolment> {
  requireValid({ name: factorName }, { name });
  return dependencies.database.transaction(call, async (trx) => {
    const { user, factors } = await authorizeFactorChange(trx, caller, dependencies.nowMs());
    const actor = { type: 'user', id: user.id } as const;
    return beginTotpEnrolment(trx, dependencies, { user, name, factors, actor }, call);
  });
}

/**
 * Makes a pending factor for a user whose row the caller has locked.
 *
 * @param enrolling.factors how many confirmed ones the user has
 * @throws Rejected `factor-limit-reached`
 */
export async function beginTotpEnrolment(
  trx: Transaction,
  { totpSecrets, issuerName }: Pick<EnrolTotpDependencies, 'totpSecrets' | 'issuerName'>,
  enrolling: {
    readonly user: { readonly id: string; readonly email: string };
    readonly name: string;
    readonly factors: number;
    readonly actor: AuditActor;
  },
  call: OperationCall,
): Promise<TotpEnrolment> {
  const { user, name, factors, actor } = enrolling;
  requireRoomForFactor(factors);
  const id = uuidV7(Date.now(), randomBytes(16));
  const secret = randomBytes(TOTP_SECRET_BYTES);
  const row = { id, userId: user.id };
  const expiresAt = await insertPendingTotp(trx, {
    ...row,
    name,
    sealedSecret: totpSecrets.seal(row, secret),
    pendingSeconds: PENDING_SECONDS,
  });
  const event: AuditEvent = {
    action: 'factor.enrol',
    outcome: 'ok',
    actor,
    target: { type: 'factor', id },
    details: { user: user.id, kind: 'totp' },
  };
  await insertAuditEvent(trx, { event, origin: call.origin });
  return {
    factorId: id,
    secret: new Secret(totpSecretText(secret)),
    otpauthUri: new Secret(otpauthUri(secret, serviceNameOf(issuerName), user.email)),
    expiresAt,
  };
}

/** The host of the issuer, or the issuer itself where it is no URL. */
function serviceNameOf(issuer: string): string {
  return URL.canParse(issuer) ? new URL(issuer).hostname || issuer : issuer;
}
