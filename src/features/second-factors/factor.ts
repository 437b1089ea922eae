import { type FieldRule, text } from '../../domain/validation.ts';

/** A second factor that its user has confirmed, without its secret. */
export interface Factor {
  readonly id: string;
  readonly kind: 'totp' | 'passkey';
  readonly name: string;
  readonly createdAt: Date;
  readonly lastUsedAt: Date | null;
  /** Whether a passkey is synced between devices, as its authenticator says. */
  readonly synced: boolean;
}

/** How many confirmed factors a user may have. */
export const MAX_FACTORS_PER_USER = 20;

/** The longest in UTF-8 is 64 characters of four bytes. */
const factorNameText = text({ minBytes: 1, maxBytes: 256 });

export const factorName: FieldRule<string> = (value, field) => {
  const violations = factorNameText(value, field);
  return violations.length > 0 || [...value].length <= 64
    ? violations
    : [{ field, description: 'must be at most 64 characters long' }];
};

/** Longer than any code, with the spaces and hyphens that people type. */
export const presentedCode = text({ minBytes: 1, maxBytes: 64 });
