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

const MAX_NAME_CHARACTERS = 64;
/** A character takes up to four bytes of UTF-8. */
const factorNameText = text({ minBytes: 1, maxBytes: 4 * MAX_NAME_CHARACTERS });

export const factorName: FieldRule<string> = (value, field) => {
  const violations = factorNameText(value, field);
  return violations.length > 0 || Array.from(value).length <= MAX_NAME_CHARACTERS
    ? violations
    : [{ field, description: `must be at most ${MAX_NAME_CHARACTERS} characters long` }];
};

/** Longer than any code, with the spaces and hyphens that people type. */
export const presentedCode = text({ minBytes: 1, maxBytes: 64 });
