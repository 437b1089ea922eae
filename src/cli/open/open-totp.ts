import type { SecretDigests } from '../../crypto/keyed-digests.ts';
import type { Database } from '../../database/database.ts';
import { TotpSecrets } from '../../features/second-factors/totp/totp-secrets.ts';
import { openRootKey } from './open-digests.ts';

export interface TotpTools {
  readonly database: Database;
  readonly digests: SecretDigests;
  readonly totpSecrets: TotpSecrets;
  readonly issuerName: string;
  readonly nowMs: () => number;
}

/** Opens the database, and the key that seals TOTP secrets, which the master key seals. */
export function openTotp<T>(work: (tools: TotpTools) => Promise<T>): Promise<T> {
  return openRootKey(({ root, settings, ...tools }) =>
    work({
      ...tools,
      totpSecrets: new TotpSecrets(() => root.derive('totp')),
      issuerName: settings.issuer,
      nowMs: Date.now,
    }),
  );
}
