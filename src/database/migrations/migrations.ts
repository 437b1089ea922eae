import { createHash } from 'node:crypto';

import { usersAndSigningKeys } from './0001-users-and-signing-keys.ts';
import { sessionsAndRevocations } from './0002-sessions-and-revocations.ts';
import { auditEvents } from './0003-audit-events.ts';
import { passwordHashKinds } from './0004-password-hash-kinds.ts';
import { loginThrottle } from './0005-login-throttle.ts';
import { serviceAccounts } from './0006-service-accounts.ts';
import { passwordResets } from './0007-password-resets.ts';
import { auditPurge } from './0008-audit-purge.ts';
import { revocationTimes } from './0009-revocation-times.ts';
import { finalRevocations } from './0010-final-revocations.ts';
import { idsOfOtherPrograms } from './0011-ids-of-other-programs.ts';
import { loginInTwoCalls } from './0012-login-in-two-calls.ts';
import { notificationAfterCommit } from './0013-notification-after-commit.ts';
import { serviceKeys } from './0014-service-keys.ts';
import { serviceAccountAudiences } from './0015-service-account-audiences.ts';
import { audiences } from './0016-audiences.ts';
import { trustedIssuers } from './0017-trusted-issuers.ts';
import { apiKeys } from './0018-api-keys.ts';
import { secondFactors } from './0019-second-factors.ts';
import { userSearch } from './0020-user-search.ts';
import { auditSearch } from './0021-audit-search.ts';
import { auditPartitions } from './0022-audit-partitions.ts';

export interface Migration {
  readonly number: number;
  readonly name: string;
  readonly sql: string;
  /** SHA-256 of the SQL, hex. It detects changes of a migration that was already applied. */
  readonly checksum: string;
}

/**
 * All migrations, append-only. After a migration the previous release must still work, since old and new processes run
 * side by side during an upgrade.
 */
export const migrations: readonly Migration[] = [
  ['users-and-signing-keys', usersAndSigningKeys] as const,
  ['sessions-and-revocations', sessionsAndRevocations] as const,
  ['audit-events', auditEvents] as const,
  ['password-hash-kinds', passwordHashKinds] as const,
  ['login-throttle', loginThrottle] as const,
  ['service-accounts', serviceAccounts] as const,
  ['password-resets', passwordResets] as const,
  ['audit-purge', auditPurge] as const,
  ['revocation-times', revocationTimes] as const,
  ['final-revocations', finalRevocations] as const,
  ['ids-of-other-programs', idsOfOtherPrograms] as const,
  ['login-in-two-calls', loginInTwoCalls] as const,
  ['notification-after-commit', notificationAfterCommit] as const,
  ['service-keys', serviceKeys] as const,
  ['service-account-audiences', serviceAccountAudiences] as const,
  ['audiences', audiences] as const,
  ['trusted-issuers', trustedIssuers] as const,
  ['api-keys', apiKeys] as const,
  ['second-factors', secondFactors] as const,
  ['user-search', userSearch] as const,
  ['audit-search', auditSearch] as const,
  ['audit-partitions', auditPartitions] as const,
].map(([name, sql], index) => ({
  number: index + 1,
  name,
  sql,
  checksum: createHash('sha256').update(sql).digest('hex'),
}));
