import { inspect } from 'node:util';
import { createPrivateKey, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { createAuthority } from '../support/certificates.ts';
import {
  type Environment,
  type LoadOptions,
  loadSettings,
  SettingsError,
  settingsTable,
  wantsStackTraces,
} from '../../src/config/load-settings.ts';

const masterKey = randomBytes(32).toString('base64');
const sharedSecret = randomBytes(32).toString('hex');
const production = {
  DATABASE_URL: 'postgres://postern:s3cret-word@db.example/postern?sslmode=verify-full',
  POSTERN_MASTER_KEY: masterKey,
  POSTERN_ISSUER: 'https://auth.example',
};

function faultsOf(environment: Environment, options?: LoadOptions): readonly string[] {
  try {
    loadSettings(environment, options);
    return [];
  } catch (error) {
    if (error instanceof SettingsError) return error.faults;
    throw error;
  }
}

describe('defaults', () => {
  test('an empty environment selects embedded mode', () => {
    expect(loadSettings({})).toMatchObject({
      production: false,
      databaseUrl: null,
      dataDir: '.postern',
      migrate: 'auto',
      grpcListen: { kind: 'tcp', host: '127.0.0.1', port: 50051 },
      httpListen: { kind: 'tcp', host: '127.0.0.1', port: 8080 },
      issuer: 'http://127.0.0.1:8080',
      audiences: ['postern'],
      apiAudience: null,
      algorithm: 'ES256',
      secret: null,
      legacyHs256: null,
      masterKey: null,
      masterKeyPrevious: null,
      accessTokenTtlSeconds: 600,
      keyRotationSeconds: 30 * 86_400,
      jwksMaxAgeSeconds: 600,
      tokenCacheBytes: 64 * 1024 * 1024,
      passwordMinLength: 12,
      reflection: true,
      insecure: false,
      telemetry: null,
      otlpEndpoint: null,
      logLevel: 'info',
      warnings: [],
    });
    expect(loadSettings({}).hashConcurrency).toBeGreaterThanOrEqual(1);
  });

  test('N13 reflection is off in production unless it is turned on', () => {
    expect(loadSettings(production)).toMatchObject({ production: true, reflection: false });
    expect(loadSettings({ ...production, POSTERN_REFLECTION: 'on' }).reflection).toBe(true);
    expect(loadSettings({ POSTERN_REFLECTION: 'off' }).reflection).toBe(false);
  });

  test('an empty variable counts as absent and causes a warning', () => {
    const { production: isProduction, warnings } = loadSettings({ DATABASE_URL: '', POSTERN_AUDIENCE: '' });
    expect(isProduction).toBe(false);
    expect(warnings).toEqual([
      expect.stringMatching(/^DATABASE_URL is set but empty/),
      expect.stringMatching(/^POSTERN_AUDIENCE is set but empty/),
    ]);
  });
});

describe('values', () => {
  test.each([
    'postgres:///postern',
    'postgresql://user@host',
    'postgres://user:p%40ss%2Fword@[::1]:5433/db?sslmode=verify-ca&sslrootcert=/etc/ca.pem',
    'postgres://user:word@/db?host=/run/postgresql',
    'postgres://user:word@one:5432,two,[::1]:5433/db?target_session_attrs=read-write&sslmode=require',
  ])('takes DATABASE_URL=%s as it is', (text) => {
    const readFile = () => createAuthority('the authority').cert;
    const settings = loadSettings({ ...production, DATABASE_URL: text }, { readFile });
    expect(settings.databaseUrl?.reveal()).toBe(text);
  });

  test('every setting is read', () => {
    const settings = loadSettings({
      ...production,
      POSTERN_MIGRATE: 'off',
      POSTERN_GRPC_LISTEN: 'unix:/run/postern.sock',
      POSTERN_HTTP_LISTEN: '[::1]:0',
      POSTERN_ADMIN_LISTEN: '127.0.0.1:9090',
      POSTERN_AUDIENCE: 'api, web',
      POSTERN_API_AUDIENCE: 'web',
      POSTERN_ALGORITHM: 'EdDSA',
      POSTERN_MASTER_KEY_PREVIOUS: randomBytes(32).toString('base64'),
      POSTERN_ACCESS_TOKEN_TTL: '1s',
      POSTERN_KEY_ROTATION: '2s',
      POSTERN_JWKS_MAX_AGE: '1s',
      POSTERN_TOKEN_CACHE: '0',
      POSTERN_HASH_CONCURRENCY: '3',
      POSTERN_PASSWORD_MIN_LENGTH: '8',
      POSTERN_LOG_LEVEL: 'trace',
    });
    expect(settings).toMatchObject({
      migrate: 'off',
      grpcListen: { kind: 'unix', path: '/run/postern.sock' },
      httpListen: { kind: 'tcp', host: '::1', port: 0 },
      adminListen: { kind: 'tcp', host: '127.0.0.1', port: 9090 },
      audiences: ['api', 'web'],
      apiAudience: 'web',
      algorithm: 'EdDSA',
      accessTokenTtlSeconds: 1,
      keyRotationSeconds: 2,
      jwksMaxAgeSeconds: 1,
      tokenCacheBytes: 0,
      hashConcurrency: 3,
      passwordMinLength: 8,
      logLevel: 'trace',
      warnings: [],
    });
    expect(settings.masterKey?.base64()).toEqual(Buffer.from(masterKey, 'base64'));
    expect(settings.databaseUrl?.reveal()).toBe(production.DATABASE_URL);
  });

  test.each([
    ['DATABASE_URL', 'mysql://host/db'],
    ['DATABASE_URL', 'postgres://user:word@one:5432,two:port/db'],
    ['DATABASE_URL', 'postgres://user:word@one,/db'],
    ['DATABASE_URL', 'postgres://user:word@one,two/db?target_session_attrs=any'],
    ['DATABASE_URL', 'postgres://user:p@ss/word@host/db'],
    ['DATABASE_URL', 'postgres://user:p@ss#word@host/db'],
    ['DATABASE_URL', 'postgres://user:pass word@host/db'],
    ['DATABASE_URL', 'postgres://host/db?sslmode=on'],
    ['DATABASE_URL', 'postgres://host/db?sslmode=verify-ca'],
    ['DATABASE_URL', 'postgres://host/db?sslmode=require&sslrootcert=system'],
    ['DATABASE_URL', 'postgres://one,two,three/db?port=1,2'],
    ['DATABASE_URL', 'postgres://host:99999/db'],
    ['DATABASE_URL', 'postgres://host/db?sslcert=/a'],
    ['POSTERN_MIGRATE', 'yes'],
    ['POSTERN_GRPC_LISTEN', ':50051'],
    ['POSTERN_ISSUER', 'auth.example'],
    ['POSTERN_ISSUER', 'https://auth.example?x'],
    ['POSTERN_ISSUER', 'https://auth.example#'],
    ['POSTERN_ISSUER', 'https://user:word@auth.example'],
    ['POSTERN_ISSUER', 'https://auth.example '],
    ['POSTERN_ISSUER', `https://${'a'.repeat(256)}`],
    ['POSTERN_AUDIENCE', 'api,'],
    ['POSTERN_AUDIENCE', 'api,api'],
    ['POSTERN_AUDIENCE', 'ap i'],
    ['POSTERN_AUDIENCE', 'é'],
    ['POSTERN_AUDIENCE', Array.from({ length: 17 }, (_, index) => `a${index}`).join(',')],
    ['POSTERN_API_AUDIENCE', 'postern,web'],
    ['POSTERN_API_AUDIENCE', 'elsewhere'],
    ['POSTERN_ALGORITHM', 'es256'],
    ['POSTERN_ALGORITHM', 'none'],
    ['POSTERN_LEGACY_HS256_UNTIL', '2026-02-30'],
    ['POSTERN_LEGACY_HS256_UNTIL', '2026-12-31T10:00'],
    ['POSTERN_LEGACY_HS256_UNTIL', 'soon'],
    ['POSTERN_LEGACY_HS256_SUBJECT', 'uid,'],
    ['POSTERN_LEGACY_HS256_SUBJECT', 'sub,sub'],
    ['POSTERN_LEGACY_HS256_SUBJECT', 'user id'],
    ['POSTERN_LEGACY_HS256_SUBJECT', 'sub,jti'],
    ['POSTERN_LEGACY_HS256_SUBJECT', 'sub,token_type'],
    ['POSTERN_LEGACY_HS256_SUBJECT', 'a,b,c,d,e,f,g,h,i'],
    ['POSTERN_LEGACY_HS256_ISSUER', 'https://old.example,'],
    ['POSTERN_LEGACY_HS256_ISSUER', 'a\u0000b'],
    ['POSTERN_LEGACY_HS256_AUDIENCE', 'web,web'],
    ['POSTERN_LEGACY_HS256_AUDIENCE', 'x'.repeat(257)],
    ['POSTERN_ACCESS_TOKEN_TTL', '600'],
    ['POSTERN_ACCESS_TOKEN_TTL', '0s'],
    ['POSTERN_ACCESS_TOKEN_TTL', '25h'],
    ['POSTERN_ACCESS_TOKEN_TTL', '1500ms'],
    ['POSTERN_JWKS_MAX_AGE', '2d'],
    ['POSTERN_TOKEN_CACHE', '64MB'],
    ['POSTERN_TOKEN_CACHE', '17GiB'],
    ['POSTERN_HASH_CONCURRENCY', '0'],
    ['POSTERN_PASSWORD_MIN_LENGTH', '7'],
    ['POSTERN_REFLECTION', '1'],
    ['POSTERN_TLS_SERVICE_IDENTITIES', '*.example.org'],
    ['POSTERN_TLS_ADMIN_IDENTITIES', 'spiffe://example.org/a,'],
    ['POSTERN_INSECURE', 'yes'],
    ['POSTERN_LOG_LEVEL', 'verbose'],
  ])('refuses %s=%j, and the message has its name but not its value', (name, text) => {
    const [fault, ...others] = faultsOf({ POSTERN_MASTER_KEY: masterKey, [name]: text }).filter(
      (line) => !line.includes('go together'),
    );
    expect(others).toEqual([]);
    expect(fault).toMatch(new RegExp(`^${name} `));
    if (text.length > 5) expect(fault).not.toContain(text);
  });

  test('every fault is reported at once', () => {
    const faults = faultsOf({
      DATABASE_URL: 'nonsense',
      POSTERN_ALGORITHM: 'HS256',
      POSTERN_ACCESS_TOKEN_TTL: '10',
      POSTERN_GRPC_LISTEN: '0.0.0.0:50051',
      POSTERN_AUDIENC: 'x',
    });
    expect(faults.map((line) => line.split(' ')[0])).toEqual([
      'DATABASE_URL',
      'POSTERN_ACCESS_TOKEN_TTL',
      'POSTERN_MASTER_KEY',
      'POSTERN_SECRET',
      'POSTERN_GRPC_LISTEN',
      'POSTERN_AUDIENC',
    ]);
  });

  test('A02 the audience of the API must be one of the audiences, except in a sidecar', () => {
    const elsewhere = { POSTERN_AUDIENCE: 'shop,web', POSTERN_API_AUDIENCE: 'postern' };
    const fault = expect.stringMatching(/^POSTERN_API_AUDIENCE must be one of POSTERN_AUDIENCE/);
    for (const purpose of ['serve', 'keys', 'command'] as const)
      expect(faultsOf(elsewhere, { for: purpose })).toEqual([fault]);
    expect(faultsOf({ ...elsewhere, POSTERN_AUDIENCE: 'shop,postern' })).toEqual([]);
    // A sidecar learns the audiences from its upstream.
    expect(loadSettings({ POSTERN_API_AUDIENCE: 'postern' }, { for: 'sidecar' }).apiAudience).toBe('postern');
  });

  test('the grace time of refresh tokens is 10 s, and at most ten minutes', () => {
    expect(loadSettings({}).refreshGraceSeconds).toBe(10);
    expect(loadSettings({ POSTERN_REFRESH_GRACE: '10m' }).refreshGraceSeconds).toBe(600);
    for (const tooLong of ['601s', '11m', '1h'])
      expect(faultsOf({ POSTERN_REFRESH_GRACE: tooLong })).toEqual([
        expect.stringMatching(/^POSTERN_REFRESH_GRACE .*10m/),
      ]);
  });

  test('unknown names are refused with the nearest known one', () => {
    expect(faultsOf({ POSTERN_ACESS_TOKEN_TTL: '1m' })).toEqual([
      expect.stringMatching(/^POSTERN_ACESS_TOKEN_TTL .*\bPOSTERN_ACCESS_TOKEN_TTL\b/),
    ]);
    expect(faultsOf({ POSTERN_XYZZY_PLUGH_AND_MORE: '1' })).toEqual([
      expect.stringMatching(/^POSTERN_XYZZY_PLUGH_AND_MORE (?!.*POSTERN_)/),
    ]);
    // Only secrets can be read from files.
    expect(faultsOf({ POSTERN_ISSUER_FILE: '/x' })).toHaveLength(1);
  });

  test('a Kubernetes Service named postern does not keep the service from starting', () => {
    const links = {
      POSTERN_SERVICE_HOST: '10.0.0.1',
      POSTERN_SERVICE_PORT: '50051',
      POSTERN_SERVICE_PORT_GRPC: '50051',
      POSTERN_PORT: 'tcp://10.0.0.1:50051',
      POSTERN_PORT_50051_TCP: 'tcp://10.0.0.1:50051',
      POSTERN_PORT_50051_TCP_ADDR: '10.0.0.1',
    };
    expect(faultsOf(links)).toEqual([]);
    expect(faultsOf({ POSTERN_PORT: '50051' })).toHaveLength(1);
  });
});

describe('secrets', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-config-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const file = (name: string, content: string | Buffer) => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };

  test('come from files, without the line ends after them', () => {
    const settings = loadSettings({
      DATABASE_URL_FILE: file('url', `${production.DATABASE_URL}\n`),
      POSTERN_MASTER_KEY_FILE: file('key', `${masterKey}\r\n`),
      POSTERN_ALGORITHM: 'HS256',
      POSTERN_SECRET_FILE: file('secret', ` ${sharedSecret}\n\n`),
    });
    expect(settings.production).toBe(true);
    expect(settings.masterKey?.reveal()).toBe(masterKey);
    expect(settings.secret?.reveal()).toBe(` ${sharedSecret}`);
  });

  test.each([
    ['with a byte order mark, as Notepad saves it', (text: string) => Buffer.from(`\ufeff${text}\r\n`)],
    ['that Windows PowerShell wrote', (text: string) => Buffer.from(`\ufeff${text}\r\n`, 'utf16le')],
    ['with two line ends', (text: string) => Buffer.from(`${text}\n\r\n`)],
  ])('come from a file %s', (_, saved) => {
    const settings = loadSettings({
      DATABASE_URL_FILE: file('url', saved(production.DATABASE_URL)),
      POSTERN_MASTER_KEY_FILE: file('key', saved(masterKey)),
      POSTERN_ALGORITHM: 'HS256',
      POSTERN_SECRET_FILE: file('secret', saved(sharedSecret)),
    });
    expect(settings.databaseUrl?.reveal()).toBe(production.DATABASE_URL);
    expect(settings.masterKey?.reveal()).toBe(masterKey);
    expect(settings.secret?.reveal()).toBe(sharedSecret);
  });

  test.each([
    ['missing', () => join(folder, 'no-such-file'), /ENOENT/],
    ['a folder', () => folder, /EISDIR/],
    ['empty', () => file('empty', '\n'), /empty/],
    ['empty but for a byte order mark', () => file('mark', '\ufeff\r\n\n'), /empty/],
    ['too short', () => file('short', 'c2hvcnQ='), /\b5 bytes.*\b32\b/],
    ['not UTF-8', () => file('binary', Buffer.from([0xff, 0xfe, 0xff])), /not text/],
    ['half a character', () => file('half', Buffer.from([0x70, 0xc3])), /not text/],
  ])('a file that is %s is refused', (_name, path, expected) => {
    const faults = faultsOf({ POSTERN_MASTER_KEY_FILE: path() });
    expect(faults).toEqual([expect.stringMatching(expected)]);
    expect(faults[0]).toMatch(/^POSTERN_MASTER_KEY_FILE /);
    expect(faults[0]).not.toContain(folder);
  });

  test('a secret set both directly and as a file is refused', () => {
    expect(faultsOf({ POSTERN_MASTER_KEY: masterKey, POSTERN_MASTER_KEY_FILE: '/x' })).toEqual([
      expect.stringMatching(/^POSTERN_MASTER_KEY and POSTERN_MASTER_KEY_FILE .*remove one/),
    ]);
  });

  test('a rule between settings names the variable that is set', () => {
    const secret = file('for-none', sharedSecret);
    expect(faultsOf({ POSTERN_SECRET_FILE: secret })).toEqual([
      expect.stringMatching(/^POSTERN_SECRET_FILE .*POSTERN_ALGORITHM=HS256/),
    ]);
    const key = file('same', masterKey);
    expect(faultsOf({ POSTERN_MASTER_KEY: masterKey, POSTERN_MASTER_KEY_PREVIOUS_FILE: key })).toEqual([
      expect.stringMatching(/^POSTERN_MASTER_KEY_PREVIOUS_FILE needs .* POSTERN_MASTER_KEY;/),
    ]);
  });

  test('are never printed', () => {
    const settings = loadSettings({
      ...production,
      POSTERN_ALGORITHM: 'HS256',
      POSTERN_SECRET: sharedSecret,
    });
    const secret = settings.secret;
    const printed = [
      inspect(settings, { depth: 9, showHidden: true }),
      JSON.stringify(settings),
      String(secret),
    ];
    for (const text of printed) {
      expect(text).toContain('[secret]');
      expect(text).not.toContain(sharedSecret);
      expect(text).not.toContain(masterKey);
      expect(text).not.toContain('s3cret-word');
    }
  });

  test('are never part of an error message, in whichever variable they are set', () => {
    const misplaced = Object.fromEntries(
      settingsTable()
        .match(/`(DATABASE_URL|POSTERN_\w+)`/g)
        ?.map((name) => [name.slice(1, -1), `${sharedSecret} `]) ?? [],
    );
    const faults = faultsOf({ ...misplaced, POSTERN_UNKNOWN: sharedSecret });
    expect(faults.length).toBeGreaterThan(20);
    expect(faults.join('\n')).not.toContain(sharedSecret);
  });
});

describe('keys', () => {
  test('K07 production needs the master key, except for commands that only use the database', () => {
    const without = { ...production, POSTERN_MASTER_KEY: undefined };
    const expected = [expect.stringMatching(/^POSTERN_MASTER_KEY .*DATABASE_URL/)];
    expect(faultsOf(without)).toEqual(expected);
    expect(faultsOf(without, { for: 'keys' })).toEqual(expected);
    expect(faultsOf({ ...without, POSTERN_ALGORITHM: 'HS256', POSTERN_SECRET: sharedSecret })).toEqual(
      expected,
    );
    expect(faultsOf(without, { for: 'command' })).toEqual([]);
  });

  test.each([
    ['too short', randomBytes(31).toString('base64')],
    ['too long', randomBytes(33).toString('base64')],
    ['hex', randomBytes(32).toString('hex')],
    ['without padding', masterKey.slice(0, -1)],
    ['with white space', ` ${masterKey}`],
    ['one byte repeated', Buffer.alloc(32, 7).toString('base64')],
  ])('K07 a master key that is %s is refused for every purpose', (_name, key) => {
    expect(faultsOf({ POSTERN_MASTER_KEY: key }, { for: 'command' })).toEqual([
      expect.stringMatching(/^POSTERN_MASTER_KEY .*openssl rand -base64 32$/),
    ]);
  });

  test('the previous master key needs a current one that differs from it', () => {
    expect(faultsOf({ POSTERN_MASTER_KEY_PREVIOUS: masterKey })).toHaveLength(1);
    expect(faultsOf({ POSTERN_MASTER_KEY: masterKey, POSTERN_MASTER_KEY_PREVIOUS: masterKey })).toHaveLength(
      1,
    );
  });

  test.each([
    ['31 bytes', randomBytes(16).toString('hex').slice(1)],
    ['the FastAPI tutorial', '09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7'],
    ['the FastAPI tutorial in capitals', '09D25E094FAA6CA2556C818166B7A9563B93F7099F6F0F4CAA6CF63B88E8D3E7'],
    ['the jwt.io debugger', 'a-string-secret-at-least-256-bits-long'],
    ['changeme', 'changeme-changeme-changeme-changeme'],
    ['change-me', 'please-change_me-before-production-1234'],
    ['your secret', 'your-secret-key-of-at-least-32-bytes!!'],
    ['openssl', 'output of: openssl rand -hex 32, put here'],
    ['one character', 'x'.repeat(64)],
    ['secret repeated', 'secret'.repeat(8)],
    ['the digits', '0123456789abcdef0123456789abcdef'],
    ['the alphabet', 'abcdefghijklmnopqrstuvwxyzabcdefghijkl'],
  ])('K10 L18 an HS256 secret that is %s is refused, also as the legacy one', (_name, text) => {
    const expected = (name: string) => [
      expect.stringMatching(new RegExp(`^${name} .*openssl rand -hex 32$`)),
    ];
    expect(faultsOf({ POSTERN_ALGORITHM: 'HS256', POSTERN_SECRET: text })).toEqual(
      expected('POSTERN_SECRET'),
    );
    const legacy = { POSTERN_LEGACY_HS256_SECRET: text, POSTERN_LEGACY_HS256_UNTIL: '2030-01-01' };
    expect(faultsOf(legacy)).toEqual(expected('POSTERN_LEGACY_HS256_SECRET'));
  });

  test('K10 secrets generated by the usual tools are accepted', () => {
    for (let run = 0; run < 200; run++) {
      for (const encoding of ['hex', 'base64', 'base64url'] as const) {
        const text = randomBytes(32).toString(encoding);
        expect(faultsOf({ POSTERN_ALGORITHM: 'HS256', POSTERN_SECRET: text })).toEqual([]);
      }
    }
  });

  test('the secret is required with HS256 and refused with any other algorithm', () => {
    expect(faultsOf({ POSTERN_ALGORITHM: 'HS256' })).toEqual([expect.stringMatching(/^POSTERN_SECRET /)]);
    expect(faultsOf({ POSTERN_ALGORITHM: 'HS256' }, { for: 'command' })).toEqual([]);
    expect(faultsOf({ POSTERN_SECRET: sharedSecret })).toEqual([
      expect.stringMatching(/^POSTERN_SECRET .*only with POSTERN_ALGORITHM=HS256/),
    ]);
  });

  test('key rotation must not be shorter than the max-age of the key set', () => {
    expect(faultsOf({ POSTERN_KEY_ROTATION: '5m' })).toEqual([
      expect.stringMatching(/^POSTERN_KEY_ROTATION /),
    ]);
    expect(faultsOf({ POSTERN_KEY_ROTATION: '10m' })).toEqual([]);
  });
});

describe('legacy HS256 tokens', () => {
  const legacy = { POSTERN_LEGACY_HS256_SECRET: sharedSecret, POSTERN_LEGACY_HS256_UNTIL: '2027-01-31' };
  const nowMs = Date.UTC(2026, 11, 1);

  test.each([
    ['2027-01-31', Date.UTC(2027, 0, 31)],
    ['2027-01-31T12:00:00Z', Date.UTC(2027, 0, 31, 12)],
    ['2027-01-31T12:00+02:00', Date.UTC(2027, 0, 31, 10)],
  ])('are accepted until %s', (text, untilMs) => {
    const { legacyHs256, warnings } = loadSettings(
      { ...legacy, POSTERN_LEGACY_HS256_UNTIL: text },
      { nowMs },
    );
    expect(legacyHs256?.untilMs).toBe(untilMs);
    expect(legacyHs256?.secret.utf8().toString()).toBe(sharedSecret);
    expect(warnings).toEqual([]);
  });

  test('takes user_id or sub, and neither issuer nor audience, unless they are named', () => {
    expect(loadSettings(legacy, { nowMs }).legacyHs256?.claims).toEqual({
      subjectClaims: ['user_id', 'sub'],
      issuers: null,
      audiences: null,
    });
    const laravel = {
      ...legacy,
      POSTERN_LEGACY_HS256_SUBJECT: 'id, https://old.example/claims/user',
      POSTERN_LEGACY_HS256_ISSUER: 'https://old.example/api/login, https://old.example/api/refresh',
      POSTERN_LEGACY_HS256_AUDIENCE: 'My Shop',
    };
    expect(loadSettings(laravel, { nowMs }).legacyHs256?.claims).toEqual({
      subjectClaims: ['id', 'https://old.example/claims/user'],
      issuers: ['https://old.example/api/login', 'https://old.example/api/refresh'],
      audiences: ['My Shop'],
    });
  });

  test.each(['SUBJECT', 'ISSUER', 'AUDIENCE'])('%s without a secret is refused', (name) => {
    expect(faultsOf({ [`POSTERN_LEGACY_HS256_${name}`]: 'sub' })).toEqual([
      expect.stringMatching(/POSTERN_LEGACY_HS256_.* only with POSTERN_LEGACY_HS256_SECRET/),
    ]);
  });

  test('in a sidecar has no effect, which a warning says', () => {
    const { warnings } = loadSettings(legacy, { for: 'sidecar', nowMs });
    expect(warnings).toEqual([expect.stringMatching(/^POSTERN_LEGACY_HS256_SECRET .* in a sidecar/)]);
  });

  test('may have closed, with a warning', () => {
    const { warnings } = loadSettings(legacy, { nowMs: Date.UTC(2027, 0, 31) });
    expect(warnings).toEqual([expect.stringMatching(/^POSTERN_LEGACY_HS256_UNTIL /)]);
  });

  test('need both settings and an algorithm other than HS256', () => {
    expect(faultsOf({ ...legacy, POSTERN_LEGACY_HS256_UNTIL: undefined })).toHaveLength(1);
    expect(faultsOf({ ...legacy, POSTERN_LEGACY_HS256_SECRET: undefined })).toHaveLength(1);
    expect(faultsOf({ ...legacy, POSTERN_ALGORITHM: 'HS256', POSTERN_SECRET: sharedSecret })).toEqual([
      expect.stringMatching(/^POSTERN_LEGACY_HS256_SECRET .*POSTERN_ALGORITHM=HS256.*remove one/),
    ]);
  });
});

const authority = createAuthority('test');
const issued = authority.issue({});
const files: Readonly<Record<string, string>> = {
  '/cert': issued.cert,
  '/key': issued.key,
  '/other-key': authority.issue({}).key,
  '/locked-key': '-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n',
  '/ca': authority.cert,
  '/junk': 'junk',
  '/torn': issued.cert.replace(/\n.{40}/, '\n'),
};
const readFile = (path: string) => {
  const text = files[path];
  if (text === undefined) throw Object.assign(new Error('no file'), { code: 'ENOENT' });
  return text;
};
const secured = {
  POSTERN_TLS_CERT: '/cert',
  POSTERN_TLS_KEY: '/key',
  POSTERN_ISSUER: 'https://auth.example',
};

describe('certificates', () => {
  const upstream = {
    POSTERN_UPSTREAM_CA: '/ca',
    POSTERN_UPSTREAM_CERT: '/cert',
    POSTERN_UPSTREAM_KEY: '/key',
  };
  const clientCa = { ...secured, POSTERN_TLS_CLIENT_CA: '/ca' };

  test('are read into settings', () => {
    const identities = {
      POSTERN_TLS_SERVICE_IDENTITIES: 'API.example.org',
      POSTERN_TLS_ADMIN_IDENTITIES: 'spiffe://example.org/Admin, ops.example.org',
    };
    expect(loadSettings({ ...clientCa, ...identities }, { readFile })).toMatchObject({
      tlsCert: '/cert',
      tlsKey: '/key',
      tlsClientCa: '/ca',
      tlsServiceIdentities: ['api.example.org'],
      tlsAdminIdentities: ['spiffe://example.org/Admin', 'ops.example.org'],
      warnings: [],
    });
    expect(loadSettings({}).tlsAdminIdentities).toEqual([]);
    expect(faultsOf(upstream, { for: 'sidecar', readFile })).toEqual([]);
    expect(faultsOf({ ...upstream, POSTERN_UPSTREAM_CA: 'system' }, { for: 'sidecar', readFile })).toEqual(
      [],
    );
  });

  test.each<[string, Record<string, string | undefined>, RegExp]>([
    ['no key', { POSTERN_TLS_KEY: undefined }, /^POSTERN_TLS_CERT and POSTERN_TLS_KEY /],
    ['no certificate', { POSTERN_TLS_CERT: undefined }, /^POSTERN_TLS_CERT and POSTERN_TLS_KEY /],
    ['another key', { POSTERN_TLS_KEY: '/other-key' }, /^POSTERN_TLS_KEY .*certificate/],
    ['a locked key', { POSTERN_TLS_KEY: '/locked-key' }, /^POSTERN_TLS_KEY .*passphrase/],
    ['a key for a certificate', { POSTERN_TLS_CERT: '/key' }, /^POSTERN_TLS_CERT .*certificate/],
    ['a certificate for a key', { POSTERN_TLS_KEY: '/cert' }, /^POSTERN_TLS_KEY .*private key/],
    ['a torn certificate', { POSTERN_TLS_CERT: '/torn' }, /^POSTERN_TLS_CERT .*certificate/],
    ['no such key file', { POSTERN_TLS_KEY: '/nowhere' }, /^POSTERN_TLS_KEY .*ENOENT/],
    ['junk for authorities', { POSTERN_TLS_CLIENT_CA: '/junk' }, /^POSTERN_TLS_CLIENT_CA .*certificate/],
    ['names and no authority', { POSTERN_TLS_ADMIN_IDENTITIES: 'a' }, /POSTERN_TLS_CLIENT_CA/],
    [
      'an upstream certificate and no TLS to it',
      { ...upstream, POSTERN_UPSTREAM_CA: undefined },
      /^POSTERN_UPSTREAM_CERT .*TLS/,
    ],
    [
      'half an upstream pair',
      { ...upstream, POSTERN_UPSTREAM_KEY: undefined },
      /^POSTERN_UPSTREAM_CERT .*POSTERN_UPSTREAM_KEY/,
    ],
  ])('N09 %s is reported in one line', (_name, change, says) => {
    expect(faultsOf({ ...secured, ...change }, { readFile })).toEqual([expect.stringMatching(says)]);
  });

  test('N09 every unusable file is reported at once', () => {
    const all = { POSTERN_TLS_CERT: '/junk', POSTERN_TLS_KEY: '/nowhere', POSTERN_TLS_CLIENT_CA: '/junk' };
    const names = (environment: Environment, options: LoadOptions) =>
      faultsOf(environment, options).map((fault) => fault.split(' ')[0]);
    expect(names(all, { readFile }).sort()).toEqual(Object.keys(all).sort());
    const both = { ...all, ...upstream, POSTERN_UPSTREAM_CERT: '/nowhere', POSTERN_UPSTREAM_CA: '/junk' };
    expect(names(both, { for: 'sidecar', readFile })).toHaveLength(5);
    // Commands open no socket, and may run as a user who must not read the key.
    expect(faultsOf(both, { for: 'command', readFile })).toEqual([]);
  });

  test('N09 client authorities need a server certificate', () => {
    expect(faultsOf({ POSTERN_TLS_CLIENT_CA: '/ca' }, { readFile })).toEqual([
      expect.stringMatching(/^POSTERN_TLS_CLIENT_CA .*TLS/),
    ]);
  });

  test('with TLS, an issuer with http: causes a warning', () => {
    const { warnings } = loadSettings({ ...secured, POSTERN_ISSUER: undefined }, { readFile });
    expect(warnings).toEqual([expect.stringMatching(/^POSTERN_ISSUER .*http:/)]);
  });
});

describe('listeners', () => {
  test.each(['POSTERN_GRPC_LISTEN', 'POSTERN_HTTP_LISTEN', 'POSTERN_ADMIN_LISTEN'])(
    'N10 %s accepts no plaintext from other machines',
    (name) => {
      for (const address of ['0.0.0.0:1', '[::]:1', '10.0.0.1:1', 'auth.example:1']) {
        expect(faultsOf({ [name]: address })).toEqual([
          expect.stringMatching(`^${name} .*POSTERN_INSECURE=true`),
        ]);
        expect(faultsOf({ [name]: address, POSTERN_INSECURE: 'true' })).toEqual([]);
        // A command opens no listener.
        expect(faultsOf({ [name]: address }, { for: 'command' })).toEqual([]);
      }
    },
  );

  test('N10 with TLS a listener may accept other machines', () => {
    for (const name of ['POSTERN_GRPC_LISTEN', 'POSTERN_HTTP_LISTEN'])
      expect(faultsOf({ ...secured, [name]: '0.0.0.0:1' }, { readFile })).toEqual([]);
    // An unusable certificate is an error of its own; plaintext is not offered as a way around it.
    const broken = { ...secured, POSTERN_TLS_CERT: '/nowhere', POSTERN_GRPC_LISTEN: '0.0.0.0:1' };
    expect(faultsOf(broken, { readFile })).toEqual([expect.stringMatching(/^POSTERN_TLS_CERT .*ENOENT/)]);
  });

  test('two listeners on one address are refused', () => {
    const twice = (text: string) => faultsOf({ POSTERN_GRPC_LISTEN: text, POSTERN_HTTP_LISTEN: text });
    expect(twice('127.0.0.1:9')).toHaveLength(1);
    expect(twice('unix:/a')).toHaveLength(1);
    expect(twice('127.0.0.1:0')).toEqual([]);
    for (const other of ['POSTERN_GRPC_LISTEN', 'POSTERN_HTTP_LISTEN']) {
      const shared = { [other]: '127.0.0.1:9', POSTERN_ADMIN_LISTEN: '127.0.0.1:9' };
      expect(faultsOf(shared)).toEqual([expect.stringMatching(/^POSTERN_ADMIN_LISTEN is the same/)]);
      // A sidecar has no such listener.
      expect(faultsOf(shared, { for: 'sidecar' })).toEqual([]);
    }
  });

  test('N07 the gRPC library must not send its error details to callers in production', () => {
    const debugging = { GRPC_NODE_DEBUG_SEND_ERROR_DETAILS: 'true' };
    expect(faultsOf({ ...production, ...debugging })).toEqual([
      expect.stringMatching(/^GRPC_NODE_DEBUG_SEND_ERROR_DETAILS/),
    ]);
    expect(faultsOf(debugging)).toEqual([]);
  });
});

test('production with the default issuer causes a warning', () => {
  const { warnings } = loadSettings({ ...production, POSTERN_ISSUER: undefined });
  expect(warnings).toEqual([expect.stringMatching(/^POSTERN_ISSUER /)]);
});

test('sidecars and commands do not warn about settings of the service', () => {
  for (const purpose of ['sidecar', 'keys', 'command'] as const) {
    const environment = { ...production, POSTERN_ISSUER: undefined };
    expect(loadSettings(environment, { for: purpose }).warnings).toEqual([]);
  }
});

test.each<[string, Record<string, string>, string]>([
  [
    'with a secret',
    {
      POSTERN_TOKEN_FILE: '/token',
      POSTERN_CLIENT_ID: 'orders',
      POSTERN_CLIENT_SECRET: 'secret-of-the-account',
    },
    'POSTERN_TOKEN_FILE cannot be used with POSTERN_CLIENT_ID and POSTERN_CLIENT_SECRET',
  ],
  [
    'whose account is named without it',
    { POSTERN_TOKEN_SERVICE_ACCOUNT: 'orders' },
    'POSTERN_TOKEN_SERVICE_ACCOUNT is used only with POSTERN_TOKEN_FILE',
  ],
])('W32 a token file %s is refused', (_name, environment, fault) => {
  expect(() => loadSettings(environment, { for: 'sidecar' })).toThrow(fault);
});

test('the table for the documentation has a row for each setting', () => {
  const lines = settingsTable().trimEnd().split('\n');
  expect(lines).toContainEqual(
    expect.stringMatching(/^\| `POSTERN_ACCESS_TOKEN_TTL` \| `10m` \| .*`1s` to `24h`/),
  );
  expect(lines.filter((line) => / or `\w+_FILE` \|/.test(line))).toHaveLength(6);
  expect(lines.every((line) => line.split('|').length === 5)).toBe(true);
});

test('stack traces are shown at the log levels debug and trace', () => {
  expect(wantsStackTraces({ POSTERN_LOG_LEVEL: 'debug' })).toBe(true);
  expect(wantsStackTraces({ POSTERN_LOG_LEVEL: 'info' })).toBe(false);
  expect(wantsStackTraces({})).toBe(false);
});

describe('N23 who may connect to a unix socket', () => {
  const sockets = { POSTERN_GRPC_LISTEN: 'unix:/run/postern/grpc.sock' };
  const accessOf = (environment: Environment, options: LoadOptions = {}) =>
    loadSettings({ ...sockets, ...environment }, options).socketAccess;

  test('only the owner, or a group that is named, or whoever the mode says', () => {
    expect(accessOf({})).toEqual({ mode: 0o600, group: null });
    expect(accessOf({ POSTERN_SOCKET_GROUP: '101' })).toEqual({ mode: 0o660, group: 101 });
    expect(accessOf({ POSTERN_SOCKET_GROUP: 'root' })).toEqual({ mode: 0o660, group: 0 });
    expect(accessOf({ POSTERN_SOCKET_GROUP: '101', POSTERN_SOCKET_MODE: '0666' }).mode).toBe(0o666);
    const written = ['600', '0600', '0o600', '0660', '0666', '0770', '777'];
    expect(written.map((text) => accessOf({ POSTERN_SOCKET_MODE: text }).mode)).toEqual([
      0o600, 0o600, 0o600, 0o660, 0o666, 0o770, 0o777,
    ]);
  });

  test.each(['rw-rw----', '0640', '0644', '0755', '060', '1660', '432', '0x1b0', '-1', '0660 ', '888'])(
    'POSTERN_SOCKET_MODE=%s is refused',
    (mode) => {
      expect(faultsOf({ ...sockets, POSTERN_SOCKET_MODE: mode })).toEqual([
        expect.stringMatching(/^POSTERN_SOCKET_MODE must be an octal mode such as 0600/),
      ]);
    },
  );

  test.each(['a group', '-1', '4294967295', '00', 'a:b'])('POSTERN_SOCKET_GROUP=%s is refused', (group) => {
    expect(faultsOf({ ...sockets, POSTERN_SOCKET_GROUP: group })).toEqual([
      'POSTERN_SOCKET_GROUP must be the name or the number of a group',
    ]);
  });

  test('a group that this machine does not have is refused where a socket is served', () => {
    const environment = { ...sockets, POSTERN_SOCKET_GROUP: 'envoy-of-elsewhere' };
    for (const purpose of ['serve', 'sidecar'] as const)
      expect(faultsOf(environment, { for: purpose })).toEqual([
        expect.stringMatching(/^POSTERN_SOCKET_GROUP names no group in \/etc\/group; .*number/),
      ]);
    expect(faultsOf(environment, { for: 'command' })).toEqual([]);
  });

  test('a group that the mode excludes is a fault, and settings without a socket cause a warning', () => {
    const group = { ...sockets, POSTERN_SOCKET_GROUP: '101' };
    expect(faultsOf({ ...group, POSTERN_SOCKET_MODE: '0600' })).toEqual([
      expect.stringMatching(/^POSTERN_SOCKET_GROUP has no effect.*POSTERN_SOCKET_MODE=0660/),
    ]);
    const warnings = [expect.stringMatching(/^POSTERN_SOCKET_MODE and POSTERN_SOCKET_GROUP have no effect/)];
    expect(loadSettings({ POSTERN_SOCKET_MODE: '0660' }).warnings).toEqual(warnings);
    expect(loadSettings({ POSTERN_SOCKET_GROUP: '101' }, { for: 'sidecar' }).warnings).toEqual(warnings);
    expect(loadSettings(group).warnings).toEqual([]);
    expect(faultsOf({ POSTERN_SOCKET_MOD: '0660' })).toEqual([
      'POSTERN_SOCKET_MOD is not a setting; did you mean POSTERN_SOCKET_MODE?',
    ]);
  });
});

describe('variables from a file with the line ends of Windows', () => {
  test('are taken without them', () => {
    const environment = {
      ...production,
      POSTERN_MASTER_KEY: '',
      POSTERN_MASTER_KEY_FILE: '/master-key',
      POSTERN_DATA_DIR: '/var/lib/postern',
      POSTERN_HTTP_LISTEN: 'unix:/run/postern.sock',
      POSTERN_AUDIENCE: 'one,two',
      POSTERN_LEGACY_HS256_ISSUER: '',
      POSTERN_SECRET: '',
      POSTERN_LOG_LEVEL: 'warn',
      PGUSER: 'somebody',
    };
    const readFile = () => masterKey;
    const expected = loadSettings(environment, { readFile });
    for (const end of ['\r', '\r\n', '\n']) {
      const saved = Object.fromEntries(Object.entries(environment).map(([name, text]) => [name, text + end]));
      const settings = loadSettings(saved, { readFile });
      expect(settings).toEqual(expected);
      expect(settings.databaseUrl?.reveal()).toBe(expected.databaseUrl?.reveal());
    }
  });

  test('a shared secret keeps it, and a warning says so', () => {
    const { secret, warnings } = loadSettings({
      POSTERN_ALGORITHM: 'HS256',
      POSTERN_SECRET: `${sharedSecret}\r`,
    });
    expect(secret?.reveal()).toBe(`${sharedSecret}\r`);
    expect(warnings).toEqual(['POSTERN_SECRET ends with a line end, which is a part of the secret']);
  });
});

describe('DATABASE_URL as psql reads it', () => {
  test.each([
    ['channel_binding=require', /asks for a channel_binding that Postern cannot do/],
    ['hostaddr=192.0.2.1', /has the parameter hostaddr, which Postern does not support/],
    ['require_auth=scram-sha-256', /has the parameter require_auth, which Postern does not support/],
    ['gssencmode=require', /asks for a gssencmode/],
    ['sslmod=require', /libpq does not know; did you mean sslmode\?/],
    ['hunter2hunter2=1', /libpq does not know; remove it$/],
    ['sslmode=', /has sslmode without a value/],
    ['sslrootcert=&sslmode=&', /has sslmode without a value/],
    ['channel_binding=', /has channel_binding without a value/],
    ['ssl_min_protocol_version=TLSv1.3&ssl_max_protocol_version=TLSv1.2', /below ssl_min_protocol_version/],
    ['ssl_max_protocol_version=TLSv1.1', /below ssl_min_protocol_version, which is TLSv1\.2/],
    ['password=hunter2%FF', /has a % that begins no character in UTF-8/],
    ['password=hunter2%2', /has a % that begins no character in UTF-8/],
    ['password=hunter2%00', /has %00/],
  ])('%s is refused by its name', (query, line) => {
    const faults = faultsOf({ ...production, DATABASE_URL: `postgres://host/db?${query}` });
    expect(faults).toEqual([expect.stringMatching(line)]);
    expect(faults.join()).not.toContain('hunter2');
  });

  test('PGSSLMODE and PGSSLROOTCERT say what the URL does not', () => {
    const variables = { PGSSLMODE: 'require', PGHOST: 'db.example', PGPASSWORD: 'a word' };
    const url = (text: string) =>
      loadSettings({ ...production, ...variables, DATABASE_URL: text }).databaseUrl?.reveal();
    expect(url('postgres:///db')).toBe('postgres:///db?host=db.example&password=a%20word&sslmode=require');
    expect(url('postgres://u:p@host/db?sslmode=disable')).toBe('postgres://u:p@host/db?sslmode=disable');
    expect(url('postgres://host/db&?')).toBe('postgres://host/db&?password=a%20word&sslmode=require');
    expect(url('postgres://host/db&')).toBe('postgres://host/db&?password=a%20word&sslmode=require');
    const missing = { ...production, DATABASE_URL: 'postgres://host/db', PGSSLROOTCERT: '/nowhere' };
    expect(faultsOf(missing)).toEqual([expect.stringMatching(/^DATABASE_URL has sslrootcert .*ENOENT/)]);
  });

  test('sslrootcert in a mode that also connects without TLS is warned about', () => {
    const readFile = () => createAuthority('the authority').cert;
    const warned = (query: string) =>
      loadSettings(
        { ...production, DATABASE_URL: `postgres://host/db?sslrootcert=/ca.pem${query}` },
        { readFile },
      ).warnings;
    const warning = expect.stringMatching(/^DATABASE_URL has sslrootcert.*verify-full$/) as unknown;
    expect(warned('')).toContainEqual(warning);
    expect(warned('&sslmode=allow')).toContainEqual(warning);
    for (const mode of ['require', 'verify-ca', 'verify-full'])
      expect(warned(`&sslmode=${mode}`)).not.toContainEqual(warning);
  });

  test.each([
    [{ PGSSLMODE: 'hunter2' }, /^DATABASE_URL completed by PGSSLMODE has an unknown sslmode; use disable,/],
    [{ PGPORT: '1,2', PGAPPNAME: 'app' }, /completed by PGPORT, PGAPPNAME has another number of ports/],
    [{ PGHOSTADDR: '192.0.2.1' }, /completed by PGHOSTADDR has the parameter hostaddr, .* not support/],
    [{ PGSERVICE: 'hunter2' }, /completed by PGSERVICE has the parameter service, .* not support/],
    [{ PGSSLCRL: '/nowhere' }, /completed by PGSSLCRL has the parameter sslcrl, .* not support/],
    [
      { PGREQUIREPEER: 'postgres' },
      /completed by PGREQUIREPEER has the parameter requirepeer, .* not support/,
    ],
  ])('a fault of the variables %j is named as theirs', (variables, line) => {
    const faults = faultsOf({ ...production, DATABASE_URL: 'postgres://host/db', ...variables });
    expect(faults).toEqual([expect.stringMatching(line)]);
    expect(faults.join()).not.toContain('hunter2');
  });

  test('a fault of the URL is not ascribed to variables', () => {
    const faults = faultsOf({ ...production, DATABASE_URL: 'postgres://host:0/db', PGSSLMODE: 'require' });
    expect(faults).toEqual([expect.stringMatching(/^DATABASE_URL has a port/)]);
  });

  test('PGSSLROOTCERT may supply what the sslmode of the URL needs', () => {
    const readFile = () => issued.cert;
    const environment = {
      ...production,
      DATABASE_URL: 'postgres://host/db?sslmode=verify-ca',
      PGSSLROOTCERT: '/ca.pem',
    };
    expect(faultsOf(environment, { readFile })).toEqual([]);
  });

  test('a client key with a passphrase is opened with sslpassword before the start', () => {
    const locked = createPrivateKey(issued.key).export({
      type: 'pkcs8',
      format: 'pem',
      cipher: 'aes-256-cbc',
      passphrase: 'hunter2',
    });
    const readFile = (path: string) => (path === '/key' ? String(locked) : issued.cert);
    const faultsWith = (query: string) =>
      faultsOf(
        { ...production, DATABASE_URL: `postgres://host/db?sslcert=/cert&sslkey=/key${query}` },
        { readFile },
      );
    expect(faultsWith('&sslpassword=hunter2')).toEqual([]);
    expect(faultsWith('&sslpassword=hunter3')).toEqual([
      'DATABASE_URL: the file of sslkey does not open with its passphrase; correct the passphrase, or the file',
    ]);
    expect(faultsWith('')).toEqual([expect.stringMatching(/sslkey is locked with a passphrase/)]);
  });
});

test('only a sidecar can be a relay', () => {
  expect(faultsOf({ POSTERN_RELAY: 'on' })).toEqual([
    expect.stringMatching(/^POSTERN_RELAY=on is for a sidecar: /),
  ]);
  expect(loadSettings({ POSTERN_RELAY: 'on' }, { for: 'sidecar' }).relay).toBe(true);
  expect(loadSettings({}, { for: 'sidecar' }).relay).toBe(false);
});
