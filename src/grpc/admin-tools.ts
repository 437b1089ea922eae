import type { AuditActor } from '../domain/audit-event.ts';
import type { PageCursors } from '../domain/page-cursor.ts';
import type { MasterKey } from '../domain/sealed-envelope.ts';
import type { SecretDigests } from '../domain/secret-digests.ts';
import type { AdminServiceService } from '../generated/postern/v1/admin.ts';
import type { SigningKeyPolicy } from '../operations/advance-signing-keys.ts';
import type { PasswordTools } from '../operations/require-good-password.ts';
import type { Database } from '../store/database.ts';
import type { TrustBundle } from '../trust/trust-bundle.ts';
import { type Call, callerOf } from './call.ts';
import type { ServiceHandlers } from './serve-methods.ts';

/** What administration works with. */
export interface AdminTools {
  readonly database: Database;
  readonly trust: TrustBundle;
  readonly passwords: PasswordTools;
  readonly digests: SecretDigests;
  readonly cursors: PageCursors;
  /** null in HS256 mode. */
  readonly signingKeys: {
    readonly policy: SigningKeyPolicy;
    readonly masterKeys: readonly MasterKey[];
  } | null;
}

export type AdminHandlers = ServiceHandlers<typeof AdminServiceService>;

/** The caller as the audit trail names it. */
export function actorOf(call: Call): AuditActor {
  const { type, id } = callerOf(call);
  return { type, id };
}
