import type { AuditActor } from '../../domain/audit-event.ts';
import type { PageCursors } from '../../domain/paging.ts';
import type { SecretDigests } from '../../crypto/keyed-digests.ts';
import type { AdminServiceService } from '../../generated/postern/v1/admin.ts';
import type { ApiKeyMaking } from '../../features/api-keys/create-api-key.ts';
import type { Audiences } from '../../features/audiences/audiences.ts';
import type { OverviewDependencies } from '../../features/overview/get-overview.ts';
import type { KeyMaking } from '../../features/signing-keys/advance-signing-keys.ts';
import type { PasswordTools } from '../../features/users/validate-new-password.ts';
import type { Database } from '../../database/database.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import { type Call, callerOf } from '../../rpc/call.ts';
import type { ServiceHandlers } from '../../rpc/handlers.ts';

/** The dependencies of all operations of AdminService. */
export interface AdminDependencies extends ApiKeyMaking {
  readonly database: Database;
  readonly trust: TrustBundle;
  readonly passwords: PasswordTools;
  /** From `tokenRoomOf`, for the audiences at the moment. */
  readonly tokenRoom: number;
  readonly audiences: Pick<Audiences, 'configured' | 'refresh'>;
  /** POSTERN_ISSUER. */
  readonly issuerName: string;
  readonly digests: SecretDigests;
  readonly cursors: PageCursors;
  /** Null with HS256, which has no signing keys. */
  readonly signingKeys: KeyMaking | null;
  readonly overview: OverviewDependencies;
}

export type AdminHandlers = ServiceHandlers<typeof AdminServiceService>;

/** The caller as the audit trail records it. */
export function actorOf(call: Call): AuditActor {
  const { type, id } = callerOf(call);
  return { type, id };
}
