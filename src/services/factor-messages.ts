import { type FactorConfirmed, FactorKind, type Factor as WireFactor } from '../generated/postern/v1/auth.ts';
import type { FactorList, TotpEnrolment as WireEnrolment } from '../generated/postern/v1/auth.ts';
import type { AddedFactor } from '../features/second-factors/add-factor.ts';
import type { TotpEnrolment } from '../features/second-factors/totp/enrol-totp.ts';
import type { Factor } from '../features/second-factors/factor.ts';
import type { FactorsOfUser } from '../features/second-factors/list-factors.ts';
import { tokenSet } from './token-set.ts';

const kinds = { totp: FactorKind.TOTP, passkey: FactorKind.PASSKEY } as const;

export function factorMessage({ kind, lastUsedAt, ...factor }: Factor): WireFactor {
  return { ...factor, kind: kinds[kind], lastUsedAt: lastUsedAt ?? undefined };
}

export function factorListMessage({ factors, recoveryCodesLeft }: FactorsOfUser): FactorList {
  return { factors: factors.map(factorMessage), recoveryCodesLeft };
}

export function totpEnrolmentMessage(enrolment: TotpEnrolment): WireEnrolment {
  return {
    factorId: enrolment.factorId,
    secret: enrolment.secret.reveal(),
    otpauthUri: enrolment.otpauthUri.reveal(),
    expiresAt: enrolment.expiresAt,
  };
}

export function factorConfirmedMessage({ factor, recoveryCodes, tokens }: AddedFactor): FactorConfirmed {
  return {
    factor: factorMessage(factor),
    recoveryCodes: recoveryCodes.map((code) => code.reveal()),
    tokens: tokenSet(tokens),
  };
}
