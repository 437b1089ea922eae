import type { CommandDefinition } from './command.ts';

export interface CommandRow {
  /** The words that call it: `['serve']`, `['token', 'inspect']`. */
  readonly path: readonly [string] | readonly [group: string, verb: string];
  readonly summary: string;
  /** Only the command that is called is loaded, so that looking at a token does not wait for gRPC or the database. */
  readonly load: () => Promise<CommandDefinition>;
}

/** Every command, in the order of `postern --help`. A new one is a file in `commands/` and a row here. */
export const commands: readonly CommandRow[] = [
  {
    path: ['serve'],
    summary: 'run the service until SIGTERM',
    load: async () => (await import('./commands/serve.ts')).serve,
  },
  {
    path: ['sidecar'],
    summary: 'verify tokens beside a service, fed by the central one, until SIGTERM',
    load: async () => (await import('./commands/sidecar.ts')).sidecar,
  },
  {
    path: ['migrate'],
    summary: 'bring the database schema up to date',
    load: async () => (await import('./commands/migrate.ts')).migrate,
  },
  {
    path: ['user', 'create'],
    summary: 'make a user who can log in',
    load: async () => (await import('./commands/user/create.ts')).userCreate,
  },
  {
    path: ['user', 'list'],
    summary: 'list all users',
    load: async () => (await import('./commands/user/list.ts')).userList,
  },
  {
    path: ['user', 'disable'],
    summary: 'keep a user from logging in',
    load: async () => (await import('./commands/user/state.ts')).userDisable,
  },
  {
    path: ['user', 'enable'],
    summary: 'let a disabled user log in again',
    load: async () => (await import('./commands/user/state.ts')).userEnable,
  },
  {
    path: ['user', 'set-role'],
    summary: 'give a user other roles',
    load: async () => (await import('./commands/user/change.ts')).userSetRole,
  },
  {
    path: ['user', 'set-email'],
    summary: 'give a user another e-mail',
    load: async () => (await import('./commands/user/change.ts')).userSetEmail,
  },
  {
    path: ['user', 'delete'],
    summary: 'delete a user and end the sessions',
    load: async () => (await import('./commands/user/delete.ts')).userDelete,
  },
  {
    path: ['user', 'import'],
    summary: 'make users from a file of another program',
    load: async () => (await import('./commands/user/import.ts')).userImport,
  },
  {
    path: ['user', 'reset-password'],
    summary: 'make a token with which a user sets a password, once, within an hour',
    load: async () => (await import('./commands/user/reset-password.ts')).userResetPassword,
  },
  {
    path: ['session', 'list'],
    summary: 'list the sessions of a user',
    load: async () => (await import('./commands/session/list.ts')).sessionList,
  },
  {
    path: ['session', 'revoke'],
    summary: 'end one session, or all of a user, with their tokens',
    load: async () => (await import('./commands/session/revoke.ts')).sessionRevoke,
  },
  {
    path: ['session', 'end-all'],
    summary: 'end every session of every user, as after a restored backup',
    load: async () => (await import('./commands/session/end-all.ts')).sessionEndAll,
  },
  {
    path: ['service', 'create'],
    summary: 'make a service account and show its secret, once',
    load: async () => (await import('./commands/service/create.ts')).serviceCreate,
  },
  {
    path: ['service', 'list'],
    summary: 'list all service accounts',
    load: async () => (await import('./commands/service/list.ts')).serviceList,
  },
  {
    path: ['service', 'delete'],
    summary: 'delete a service account and end its tokens',
    load: async () => (await import('./commands/service/delete.ts')).serviceDelete,
  },
  {
    path: ['service', 'rotate'],
    summary: 'give a service account another secret; the one before stays good for a while',
    load: async () => (await import('./commands/service/rotate.ts')).serviceRotate,
  },
  {
    path: ['key', 'list'],
    summary: 'list the signing keys and what becomes of them when',
    load: async () => (await import('./commands/key/list.ts')).keyList,
  },
  {
    path: ['key', 'rotate'],
    summary: 'publish a new signing key, which signs after the JWKS max-age',
    load: async () => (await import('./commands/key/rotate.ts')).keyRotate,
  },
  {
    path: ['key', 'revoke'],
    summary: 'end a signing key at once, with every token that it signed',
    load: async () => (await import('./commands/key/revoke.ts')).keyRevoke,
  },
  {
    path: ['key', 'rewrap'],
    summary: 'seal the signing keys with the current master key',
    load: async () => (await import('./commands/key/rewrap.ts')).keyRewrap,
  },
  {
    path: ['audit', 'list'],
    summary: 'list what happened and what was refused, the newest first',
    load: async () => (await import('./commands/audit/list.ts')).auditList,
  },
  {
    path: ['doctor'],
    summary: 'check settings, database, schema, keys and ports, and say what to do',
    load: async () => (await import('./commands/doctor.ts')).doctor,
  },
  {
    path: ['token', 'inspect'],
    summary: 'explain a token: what it says, whether its signature is good, why it would be refused',
    load: async () => (await import('./commands/token/inspect.ts')).tokenInspect,
  },
];

/** What the first word of two-word commands is about. */
export const groups: Readonly<Record<string, string>> = {
  user: 'people who log in',
  session: 'what logins opened',
  service: 'programs that have tokens of their own',
  key: 'signing keys',
  audit: 'the audit trail',
  token: 'access tokens',
};
