import { setting, type Setting } from './setting-row.ts';
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
    ...setting(
      'POSTERN_CONSOLE',
      'on',
      'Whether the [console](console.md), the web pages for administrators, is served at `/console/`. It needs `POSTERN_HTTP_RPC=admin`.',
      value.toggle,
    ),
    displayedDefault: '`on`; in production `off`',
    fallback: ({ production, purpose }) => !production && purpose === 'serve',
  },
} satisfies { readonly [K in keyof SettingValues]?: Setting<SettingValues[K]> };
