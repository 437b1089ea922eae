import type { AuditEvent } from '../../domain/audit-event.ts';
import type { OperationCall } from '../../domain/operation-call.ts';
import type { Rejection, SecondFactorName } from '../../domain/rejection.ts';
import type { SecretDigests } from '../../crypto/keyed-digests.ts';
import type { Transaction } from '../../database/database.ts';
import { insertAuditEvent } from '../audit/audit-queries.ts';
import { countCodeFailure, readCodeFailures } from './code-failure-queries.ts';
import { listTotps, useTotpStep } from './factor-queries.ts';
import { parsePresentedCode } from './recovery-codes/recovery-code.ts';
import { consumeRecoveryCode } from './recovery-codes/recovery-code-queries.ts';
import { matchingStep } from './totp/totp.ts';
import type { Passkeys } from './passkeys/passkeys.ts';
import { type PasskeyAnswer, provePasskey } from './passkeys/prove-passkey.ts';
import type { TotpSecrets } from './totp/totp-secrets.ts';

/** What a user shows as a second factor. */
export type SecondFactorProof =
  | { readonly kind: 'code'; readonly code: string }
  | { readonly kind: 'passkey'; readonly answer: PasskeyAnswer };

export interface SecondFactorDependencies {
  readonly totpSecrets: TotpSecrets;
  readonly passkeys: Passkeys;
  /** Of the recovery codes. */
  readonly digests: SecretDigests;
  /** Unix time, ms. */
  readonly nowMs: () => number;
  /** Called for a factor whose secret does not open: only another factor or an administrator helps its user. */
  readonly onUnreadableFactor: (factorId: string, fault: string) => void;
  /** Called for each factor that was checked, for the metrics. Not called for a code of neither form. */
  readonly onProof: (kind: SecondFactorName, isRight: boolean) => void;
}

/** A refusal is a value, so that the transaction in which the wrong code was counted is committed. */
export type ProvenFactor =
  | { readonly ok: true; readonly value: FactorUse }
  | {
      readonly ok: false;
      readonly refusal: Extract<Rejection, { kind: 'second-factor-invalid' | 'passkey-invalid' }>;
    };

export interface FactorUse {
  /** Null for a recovery code. */
  readonly factorId: string | null;
  /** The methods of the proof, for `amr`: `otp`, `recovery`, or `hwk` or `swk` of a passkey. */
  readonly amr: readonly string[];
}

/**
 * After so many wrong codes the codes of authenticator apps are refused, right or wrong, until the window ends. With the password known,
 * ten guesses a day find a code of three accepted ones within a year with 1 %; without a limit within hours.
 */
export const MAX_CODE_FAILURES = 10;
const FAILURE_WINDOW_SECONDS = 86_400;
/** Wrong codes of which the audit trail has an event: somebody may have the password. */
const REPORTED_FAILURES: readonly number[] = [3, MAX_CODE_FAILURES];

/**
 * Checks the second factor of a user and uses it up: the only way in which a session reaches level `aal2` by a second factor. The
 * caller holds the lock on the user's row, so that wrong codes are counted one by one, and commits the transaction
 * whatever the result: otherwise wrong codes would not count.
 *
 * @throws Rejected `passkeys-disabled`, `store-unavailable`
 */
export async function requireSecondFactor(
  trx: Transaction,
  dependencies: SecondFactorDependencies,
  { userId, proof }: { readonly userId: string; readonly proof: SecondFactorProof },
  call: OperationCall,
): Promise<ProvenFactor> {
  const counted = (kind: SecondFactorName, proven: ProvenFactor) => {
    dependencies.onProof(kind, proven.ok);
    return proven;
  };
  if (proof.kind === 'passkey') {
    const proven = await provePasskey(trx, dependencies.passkeys, proof.answer, userId);
    return counted(
      'passkey',
      proven.ok ? { ok: true, value: { factorId: proven.value.factorId, amr: proven.value.amr } } : proven,
    );
  }
  const code = parsePresentedCode(proof.code);
  switch (code.kind) {
    case 'totp':
      return counted('totp', await proveTotp(trx, dependencies, { userId, code: code.code }, call));
    case 'recovery':
      return counted(
        'recovery',
        await proveRecoveryCode(trx, dependencies, { userId, code: code.code }, call),
      );
    case 'malformed':
      // It cannot be right, so it is no guess.
      return refused('wrong', userId);
    default:
      return code satisfies never;
  }
}

interface PresentedBy {
  readonly userId: string;
  readonly code: string;
}

async function proveTotp(
  trx: Transaction,
  { totpSecrets, nowMs, onUnreadableFactor }: SecondFactorDependencies,
  { userId, code }: PresentedBy,
  call: OperationCall,
): Promise<ProvenFactor> {
  if ((await readCodeFailures(trx, userId)) >= MAX_CODE_FAILURES) return refused('too-many-failures', userId);
  const nowSeconds = nowMs() / 1000;
  const factors = await listTotps(trx, userId);
  let matching: { readonly id: string; readonly step: number } | null = null;
  let readable = 0;
  for (const { id, userId: owner, sealedSecret } of factors) {
    const secret = totpSecrets.open({ id, userId: owner }, sealedSecret);
    if ('fault' in secret) {
      onUnreadableFactor(id, secret.fault);
      continue;
    }
    readable += 1;
    const step = matchingStep(secret, code, nowSeconds);
    if (step !== null) matching = { id, step };
  }
  if (factors.length > 0 && readable === 0) return refused('unreadable', userId);
  if (matching !== null && (await useTotpStep(trx, matching)))
    return { ok: true, value: { factorId: matching.id, amr: ['otp'] } };
  await countWrongCode(trx, userId, call);
  return refused(matching === null ? 'wrong' : 'used', userId);
}

async function proveRecoveryCode(
  trx: Transaction,
  { digests }: SecondFactorDependencies,
  { userId, code }: PresentedBy,
  call: OperationCall,
): Promise<ProvenFactor> {
  const left = await consumeRecoveryCode(trx, userId, digests.ofRecoveryCode(userId, code));
  if (left === null) {
    await countWrongCode(trx, userId, call);
    return refused('wrong', userId);
  }
  const user = { type: 'user', id: userId } as const;
  const event: AuditEvent = {
    action: 'recovery-code.use',
    outcome: 'ok',
    actor: user,
    target: user,
    details: { left },
  };
  await insertAuditEvent(trx, { event, origin: call.origin });
  return { ok: true, value: { factorId: null, amr: ['recovery'] } };
}

async function countWrongCode(trx: Transaction, userId: string, call: OperationCall): Promise<void> {
  const failures = await countCodeFailure(trx, userId, FAILURE_WINDOW_SECONDS);
  if (!REPORTED_FAILURES.includes(failures)) return;
  const event: AuditEvent = {
    action: 'factor.wrong-codes',
    outcome: 'refused',
    actor: { type: 'anonymous', id: null },
    target: { type: 'user', id: userId },
    reason: 'SECOND_FACTOR_INVALID',
    details: { failures },
  };
  await insertAuditEvent(trx, { event, origin: call.origin });
}

function refused(
  cause: Extract<Rejection, { kind: 'second-factor-invalid' }>['cause'],
  userId: string,
): ProvenFactor {
  const subject = { target: { type: 'user', id: userId } } as const;
  return { ok: false, refusal: { kind: 'second-factor-invalid', cause, subject } };
}
