export type TablePrivilege = 'SELECT' | 'INSERT' | 'UPDATE' | 'DELETE';

const READ = ['SELECT'] as const;
const ADD = ['SELECT', 'INSERT'] as const;
const REPLACE = ['SELECT', 'INSERT', 'UPDATE'] as const;
const ALL = ['SELECT', 'INSERT', 'UPDATE', 'DELETE'] as const;

/**
 * What the service and its commands need of each table at run time, and no more (D16). A table without a line here
 * fails a test.
 */
export const tableGrants: Readonly<Record<string, readonly TablePrivilege[]>> = {
  users: ALL,
  sessions: ALL,
  revocations: ALL,
  signing_keys: ALL,
  refresh_root: REPLACE,
  login_throttle: ALL,
  service_accounts: ALL,
  // Never updated; the purge locks rows, which takes UPDATE.
  service_tokens: ALL,
  password_resets: ALL,
  // Who takes the service over cannot rewrite what was recorded (D17). Old events go by the function below.
  audit_events: ADD,
  postern_migrations: READ,
};

/** The functions that statements of the service call. */
export const functionGrants: readonly string[] = [
  'postern_hash_kind(text)',
  'postern_purge_audit_events(integer, integer)',
];

/** Functions that only run as triggers, for which nobody needs a right. */
export const triggerFunctions: readonly string[] = ['postern_ring_trust()', 'postern_refuse_change()'];
