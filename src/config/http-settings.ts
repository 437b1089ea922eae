import { optional, setting, type Setting } from './setting-row.ts';
import * as value from './setting-parsers.ts';
import type { SettingValues } from './setting-values.ts';

/** Settings of what is served over HTTP. */
export const httpSettingRows = {
  httpRpc: {
    ...setting(
      'POSTERN_HTTP_RPC',
      'admin',
      'Which RPCs the HTTP listener serves as well, [as Connect and gRPC-Web](http.md): `off`, `auth` (AuthService) or ' +
        '`admin` (AuthService and, without `POSTERN_ADMIN_LISTEN`, AdminService). A sidecar serves VerifyToken alone.',
      value.oneOf('off', 'auth', 'admin'),
    ),
    displayedDefault: '`admin`; in production and in a sidecar `off`',
    fallback: ({ production, purpose }) => (production || purpose === 'sidecar' ? 'off' : 'admin'),
  },
  corsOrigins: {
    ...setting(
      'POSTERN_CORS_ORIGINS',
      '',
      'The origins of web pages that may call RPCs over HTTP (`https://app.example.com`), separated by commas.',
      value.origins,
    ),
    displayedDefault: 'none',
    fallback: () => [],
  },
  oauth: {
    ...setting(
      'POSTERN_OAUTH',
      'on',
      'Whether the [OAuth endpoints](oauth.md) are served over HTTP: `/oauth/token`, `/oauth/introspect`, `/oauth/revoke`.',
      value.toggle,
    ),
    displayedDefault: '`on`; in production and in a sidecar `off`',
    fallback: ({ production, purpose }) => !production && purpose !== 'sidecar',
  },
  passwordDoor: setting(
    'POSTERN_PASSWORD_DOOR',
    'off',
    'Whether `/login`, `/token` and the password grant are served, for [clients of a tutorial](oauth.md#the-paths-of-a-tutorial).',
    value.toggle,
  ),
  console: {
    ...optional(
      'POSTERN_CONSOLE',
      'Whether the [console](console.md), the web pages for administrators, is served at `/console/`. It needs ' +
        '`POSTERN_HTTP_RPC=admin` without `POSTERN_ADMIN_LISTEN`, or `POSTERN_CONSOLE_LISTEN`.',
      value.toggle,
    ),
    displayedDefault: '`on` where it has what it needs; in production `off`',
  },
  consoleListen: optional(
    'POSTERN_CONSOLE_LISTEN',
    'The address of a listener for the console alone, with the RPCs of AuthService and AdminService over HTTP, whatever ' +
      '`POSTERN_HTTP_RPC` says. When set, the HTTP listener serves no console. Same forms as `POSTERN_GRPC_LISTEN`.',
    value.listenAddress,
  ),
  httpHosts: {
    ...setting(
      'POSTERN_HTTP_HOSTS',
      '',
      'Further [host names](http.md#host-names) by which the HTTP listener and the console are called (`auth.internal,postern`), ' +
        'separated by commas, without ports.',
      value.hostNames,
    ),
    displayedDefault: 'none',
    fallback: () => [],
  },
} satisfies { readonly [K in keyof SettingValues]?: Setting<SettingValues[K]> };

/** Whether the console is served: on demand, and in the first look wherever it has what it needs. */
export function servesConsole(values: SettingValues, production: boolean): boolean {
  return values.console ?? (!production && hasRpcsOfConsole(values));
}

/** Whether a listener of HTTP serves what the pages of the console call. */
export function hasRpcsOfConsole({ consoleListen, httpRpc, adminListen }: SettingValues): boolean {
  return consoleListen !== null || (httpRpc === 'admin' && adminListen === null);
}
