import { adminApiKeys } from './api-keys.ts';
import { adminAudiences } from './audiences.ts';
import { adminFactors } from './factors.ts';
import { adminWorkloads } from './workloads.ts';
import { adminImport } from './import-users.ts';
import { adminKeys } from './signing-keys.ts';
import { adminServiceAccounts } from './service-accounts.ts';
import { adminSessions } from './sessions-and-audit.ts';
import { adminOverview } from './overview.ts';
import type { AdminHandlers, AdminDependencies } from './admin-dependencies.ts';
import { adminUsers } from './users.ts';

/** postern.v1.AdminService. The method table says who may call each method and what is audited. */
export function adminService(dependencies: AdminDependencies): AdminHandlers {
  return {
    ...adminUsers(dependencies),
    ...adminImport(dependencies),
    ...adminSessions(dependencies),
    ...adminServiceAccounts(dependencies),
    ...adminKeys(dependencies),
    ...adminAudiences(dependencies),
    ...adminWorkloads(dependencies),
    ...adminApiKeys(dependencies),
    ...adminFactors(dependencies),
    ...adminOverview(dependencies),
  };
}
