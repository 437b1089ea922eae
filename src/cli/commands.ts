import type { CommandDefinition } from './command.ts';

export interface CommandRow {
  /** The words of the command: `['serve']`, `['token', 'inspect']`, `['service', 'key', 'add']`. */
  readonly path: readonly [string, ...string[]];
  readonly summary: string;
  /** Loads the definition when the command runs, so that `token inspect` does not wait for gRPC or the database. */
  readonly load: () => Promise<CommandDefinition>;
}

/** Every command, in the order of `postern --help`. A new command is a file in `commands/` and a row here. */
export const commands: readonly CommandRow[] = [
  {
    path: ['serve'],
    summary: 'run the service until SIGTERM',
    load: async () => (await import('./commands/serve.ts')).serve,
  },
  {
    path: ['sidecar'],
    summary:
      'verify tokens next to an application, with keys and revocations from the service, until SIGTERM',
    load: async () => (await import('./commands/sidecar.ts')).sidecar,
  },
  {
    path: ['migrate'],
    summary: 'bring the database schema up to date',
    load: async () => (await import('./commands/migrate.ts')).migrate,
  },
  {
    path: ['login'],
    summary: 'log in at a running service and print the access token',
    load: async () => (await import('./commands/login.ts')).login,
  },
  {
    path: ['user', 'create'],
    summary: 'create a user',
    load: async () => (await import('./commands/user/create.ts')).userCreate,
  },
  {
    path: ['user', 'list'],
    summary: 'list all users',
    load: async () => (await import('./commands/user/list.ts')).userList,
  },
  {
    path: ['user', 'disable'],
    summary: 'disable a user: logins are refused and sessions end',
    load: async () => (await import('./commands/user/state.ts')).userDisable,
  },
  {
    path: ['user', 'enable'],
    summary: 'enable a disabled user',
    load: async () => (await import('./commands/user/state.ts')).userEnable,
  },
  {
    path: ['user', 'set-role'],
    summary: "replace a user's roles",
    load: async () => (await import('./commands/user/change.ts')).userSetRole,
  },
  {
    path: ['user', 'set-email'],
    summary: "change a user's e-mail address",
    load: async () => (await import('./commands/user/change.ts')).userSetEmail,
  },
  {
    path: ['user', 'delete'],
    summary: 'delete a user and end their sessions',
    load: async () => (await import('./commands/user/delete.ts')).userDelete,
  },
  {
    path: ['user', 'import'],
    summary: 'create users from a file exported by another program',
    load: async () => (await import('./commands/user/import.ts')).userImport,
  },
  {
    path: ['user', 'reset-password'],
    summary: 'create a token with which a user can set a password once, within an hour',
    load: async () => (await import('./commands/user/reset-password.ts')).userResetPassword,
  },
  {
    path: ['user', 'factors'],
    summary: "list a user's second factors",
    load: async () => (await import('./commands/user/factors.ts')).userFactors,
  },
  {
    path: ['user', 'enrol-totp'],
    summary: 'add an authenticator app to a user, such as the first administrator',
    load: async () => (await import('./commands/user/enrol-totp.ts')).userEnrolTotp,
  },
  {
    path: ['user', 'reset-factors'],
    summary: 'delete the second factors and recovery codes of a user who lost them, and end their sessions',
    load: async () => (await import('./commands/user/factors.ts')).userResetFactors,
  },
  {
    path: ['session', 'list'],
    summary: "list a user's sessions",
    load: async () => (await import('./commands/session/list.ts')).sessionList,
  },
  {
    path: ['session', 'revoke'],
    summary: 'end one session, or all sessions of a user, and revoke their tokens',
    load: async () => (await import('./commands/session/revoke.ts')).sessionRevoke,
  },
  {
    path: ['session', 'end-all'],
    summary: 'end every session of every user, for example after restoring a backup',
    load: async () => (await import('./commands/session/end-all.ts')).sessionEndAll,
  },
  {
    path: ['service', 'create'],
    summary: 'create a service account and print its secret, once',
    load: async () => (await import('./commands/service/create.ts')).serviceCreate,
  },
  {
    path: ['service', 'list'],
    summary: 'list all service accounts',
    load: async () => (await import('./commands/service/list.ts')).serviceList,
  },
  {
    path: ['service', 'change'],
    summary: "change a service account's roles and audiences, and revoke tokens that have what it loses",
    load: async () => (await import('./commands/service/change.ts')).serviceChange,
  },
  {
    path: ['service', 'delete'],
    summary: 'delete a service account and revoke its tokens',
    load: async () => (await import('./commands/service/delete.ts')).serviceDelete,
  },
  {
    path: ['service', 'rotate'],
    summary: 'create a new secret for a service account; the previous secret stays valid for a while',
    load: async () => (await import('./commands/service/rotate.ts')).serviceRotate,
  },
  {
    path: ['service', 'key', 'add'],
    summary: 'add a public key, with which a service account authenticates instead of its secret',
    load: async () => (await import('./commands/service/key/add.ts')).serviceKeyAdd,
  },
  {
    path: ['service', 'key', 'list'],
    summary: "list a service account's public keys",
    load: async () => (await import('./commands/service/key/list.ts')).serviceKeyList,
  },
  {
    path: ['service', 'key', 'delete'],
    summary: 'delete a public key of a service account and revoke the tokens issued for it',
    load: async () => (await import('./commands/service/key/delete.ts')).serviceKeyDelete,
  },
  {
    path: ['service', 'bind'],
    summary:
      'bind the identity of a workload, by the claims of its token or its certificate, to a service account',
    load: async () => (await import('./commands/service/bind.ts')).serviceBind,
  },
  {
    path: ['service', 'bindings'],
    summary: 'list the identities that are bound to service accounts',
    load: async () => (await import('./commands/service/bindings.ts')).serviceBindings,
  },
  {
    path: ['service', 'unbind'],
    summary: 'delete a binding and revoke the tokens issued by it',
    load: async () => (await import('./commands/service/unbind.ts')).serviceUnbind,
  },
  {
    path: ['issuer', 'add'],
    summary: 'trust an issuer, whose tokens can then be bound to service accounts',
    load: async () => (await import('./commands/issuer/add.ts')).issuerAdd,
  },
  {
    path: ['issuer', 'list'],
    summary: 'list the trusted issuers',
    load: async () => (await import('./commands/issuer/list.ts')).issuerList,
  },
  {
    path: ['issuer', 'set-keys'],
    summary: 'replace where the keys of a trusted issuer come from',
    load: async () => (await import('./commands/issuer/set-keys.ts')).issuerSetKeys,
  },
  {
    path: ['issuer', 'disable'],
    summary: 'refuse the tokens of an issuer, and revoke those issued for them',
    load: async () => (await import('./commands/issuer/state.ts')).issuerDisable,
  },
  {
    path: ['issuer', 'enable'],
    summary: 'accept the tokens of a disabled issuer again',
    load: async () => (await import('./commands/issuer/state.ts')).issuerEnable,
  },
  {
    path: ['issuer', 'delete'],
    summary: 'delete a trusted issuer with its bindings, and revoke the tokens issued for its tokens',
    load: async () => (await import('./commands/issuer/delete.ts')).issuerDelete,
  },
  {
    path: ['api-key', 'create'],
    summary: 'create an API key of a user or a service account and print it, once',
    load: async () => (await import('./commands/api-key/create.ts')).apiKeyCreate,
  },
  {
    path: ['api-key', 'list'],
    summary: 'list the valid API keys of an owner, or of everybody',
    load: async () => (await import('./commands/api-key/list.ts')).apiKeyList,
  },
  {
    path: ['api-key', 'revoke'],
    summary: 'revoke an API key, or every one in a text, with the tokens that it was exchanged for',
    load: async () => (await import('./commands/api-key/revoke.ts')).apiKeyRevoke,
  },
  {
    path: ['api-key', 'rotate'],
    summary: 'create a new API key with the rights of another, which stays valid for a while',
    load: async () => (await import('./commands/api-key/rotate.ts')).apiKeyRotate,
  },
  {
    path: ['audience', 'add'],
    summary: 'add an audience to those of POSTERN_AUDIENCE; every instance accepts it at once',
    load: async () => (await import('./commands/audience/change.ts')).audienceAdd,
  },
  {
    path: ['audience', 'list'],
    summary: 'list all audiences',
    load: async () => (await import('./commands/audience/list.ts')).audienceList,
  },
  {
    path: ['audience', 'delete'],
    summary: 'remove an added audience; its tokens are refused',
    load: async () => (await import('./commands/audience/change.ts')).audienceDelete,
  },
  {
    path: ['key', 'list'],
    summary: 'list the signing keys, their states and when they change',
    load: async () => (await import('./commands/key/list.ts')).keyList,
  },
  {
    path: ['key', 'rotate'],
    summary: 'publish a new signing key, which starts signing after the JWKS max-age',
    load: async () => (await import('./commands/key/rotate.ts')).keyRotate,
  },
  {
    path: ['key', 'revoke'],
    summary: 'revoke a signing key at once, with every token that it signed',
    load: async () => (await import('./commands/key/revoke.ts')).keyRevoke,
  },
  {
    path: ['key', 'rewrap'],
    summary: 'seal the signing keys with the current master key',
    load: async () => (await import('./commands/key/rewrap.ts')).keyRewrap,
  },
  {
    path: ['audit', 'list'],
    summary: 'list audit events, newest first',
    load: async () => (await import('./commands/audit/list.ts')).auditList,
  },
  {
    path: ['doctor'],
    summary: 'check settings, database, schema, keys and ports, and say what to do',
    load: async () => (await import('./commands/doctor.ts')).doctor,
  },
  {
    path: ['token', 'inspect'],
    summary: 'explain a token: its contents, whether its signature is valid, why it would be refused',
    load: async () => (await import('./commands/token/inspect.ts')).tokenInspect,
  },
  {
    path: ['token', 'explain-exchange'],
    summary: 'explain whether and why a token of another issuer would be exchanged',
    load: async () => (await import('./commands/token/explain-exchange.ts')).tokenExplainExchange,
  },
  {
    path: ['policy', 'check'],
    summary: 'check a policy file, and find methods without a rule',
    load: async () => (await import('./commands/policy/check.ts')).policyCheck,
  },
  {
    path: ['policy', 'envoy'],
    summary: 'print routes of Envoy that apply a policy file',
    load: async () => (await import('./commands/policy/generate.ts')).policyEnvoy,
  },
  {
    path: ['policy', 'gateway'],
    summary: 'print objects of Envoy Gateway that apply a policy file',
    load: async () => (await import('./commands/policy/generate.ts')).policyGateway,
  },
];

/** A description of each group of commands, for `postern --help`. */
export const groups: Readonly<Record<string, string>> = {
  user: 'manage users',
  session: "list and end users' sessions",
  service: 'manage service accounts, with which programs authenticate',
  'service key': "manage a service account's public keys",
  'api-key': 'manage API keys of users and service accounts',
  audience: 'manage the audiences that tokens can have',
  issuer: 'manage the issuers whose tokens are exchanged',
  key: 'list, rotate and revoke signing keys',
  audit: 'read the audit trail',
  token: 'inspect and explain tokens',
  policy: 'check policy files, and configure Envoy by them',
};
