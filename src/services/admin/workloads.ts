import { notBuilt } from '../../rpc/not-built.ts';
import type { AdminHandlers } from './admin-dependencies.ts';

/** The RPCs about trusted issuers and bindings. */
export function adminWorkloads(): Pick<
  AdminHandlers,
  | 'createTrustedIssuer'
  | 'listTrustedIssuers'
  | 'updateTrustedIssuer'
  | 'deleteTrustedIssuer'
  | 'createWorkloadBinding'
  | 'listWorkloadBindings'
  | 'deleteWorkloadBinding'
> {
  return {
    createTrustedIssuer: notBuilt,
    listTrustedIssuers: notBuilt,
    updateTrustedIssuer: notBuilt,
    deleteTrustedIssuer: notBuilt,
    createWorkloadBinding: notBuilt,
    listWorkloadBindings: notBuilt,
    deleteWorkloadBinding: notBuilt,
  };
}
