import { readFileSync } from 'node:fs';

import { expect, test } from '@jest/globals';

import { settingRows } from '../../src/config/settings-table.ts';
import { migrations } from '../../src/database/migrations/migrations.ts';

/** What the release before has: its migrations, and the settings that it starts with. */
const MIGRATIONS_BEFORE = 9;
const SETTINGS_BEFORE = new Set(
  `ACCESS_TOKEN_TTL ALGORITHM AUDIENCE CLIENT_ID CLIENT_SECRET DATA_DIR GRPC_LISTEN HASH_CONCURRENCY HTTP_LISTEN INSECURE ISSUER
   JWKS_MAX_AGE KEY_ROTATION LEGACY_HS256_SECRET LEGACY_HS256_UNTIL LOG_LEVEL MASTER_KEY MASTER_KEY_PREVIOUS MAX_CONNECTIONS
   MAX_STALENESS MIGRATE PASSWORD_MIN_LENGTH REFLECTION REFRESH_GRACE REFRESH_IDLE REFRESH_TOKEN_TTL SECRET SESSIONS_PER_USER
   SHUTDOWN_DELAY TLS_ADMIN_IDENTITIES TLS_CERT TLS_CLIENT_CA TLS_KEY TLS_SERVICE_IDENTITIES TOKEN_CACHE TRUSTED_PROXIES UPSTREAM_CA
   UPSTREAM_CERT UPSTREAM_KEY`
    .split(/\s+/)
    .map((name) => `POSTERN_${name}`),
);

const changelog = readFileSync(new URL('../../CHANGELOG.md', import.meta.url), 'utf8');
/** The point of the upgrade notes that begins with these words. */
const note = (begin: string) => changelog.split('\n- ').find((point) => point.startsWith(`**${begin}`)) ?? '';

test('the upgrade notes name every migration since the release before', () => {
  const numbers = migrations
    .slice(MIGRATIONS_BEFORE)
    .map(({ number }) => `\`${String(number).padStart(4, '0')}\``);
  const text = note('Run `postern migrate');
  expect(numbers.filter((number) => !text.includes(number))).toEqual([]);
  expect(text).toContain(
    `There are ${['seven', 'eight', 'nine', 'ten', 'eleven', 'twelve', 'thirteen'][numbers.length - 7] ?? '?'} migrations`,
  );
});

test('the way back removes every setting that the release before refuses to start with', () => {
  const added = Object.values(settingRows)
    .map(({ name }) => name)
    .filter((name) => name.startsWith('POSTERN_') && !SETTINGS_BEFORE.has(name));
  expect(added).toContain('POSTERN_API_KEYS_MAX');
  const text = note('To go back');
  expect(added.filter((name) => !text.includes(`\`${name}\``))).toEqual([]);
});
