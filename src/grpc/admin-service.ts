import { adminImport } from './admin-import.ts';
import { adminKeys } from './admin-keys.ts';
import { adminServiceAccounts } from './admin-service-accounts.ts';
import { adminSessions } from './admin-sessions.ts';
import type { AdminHandlers, AdminTools } from './admin-tools.ts';
import { adminUsers } from './admin-users.ts';

/** postern.v1.AdminService: wire to operation and back. Who may call and what is audited stands in the method table. */
export function adminService(tools: AdminTools): AdminHandlers {
  return {
    ...adminUsers(tools),
    ...adminImport(tools),
    ...adminSessions(tools),
    ...adminServiceAccounts(tools),
    ...adminKeys(tools),
  };
}
