import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import {
  makeIssuerKey,
  mint,
  type OutsideServer,
  shapes,
  startOutsideIssuer,
} from '../support/outside-issuer.ts';
import { runHere } from '../support/run-here.ts';
import type { CommandEnd } from '../support/run-postern.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { masterKey, startTestService, type TestService } from '../support/test-service.ts';

const OWN = 'https://postern.example';
const settings = { POSTERN_ISSUER: OWN, POSTERN_ISSUER_NETWORKS: '127.0.0.0/8' };
const key = makeIssuerKey('k1');
const folder = mkdtempSync(join(tmpdir(), 'postern-issuer-'));
let database: TestDatabase;
let service: TestService;
let issuer: OutsideServer;
beforeAll(async () => {
  database = await createTestDatabase();
  service = await startTestService(settings, database);
  issuer = await startOutsideIssuer([key]);
  writeFileSync(join(folder, 'ca.pem'), issuer.caPem);
});
afterAll(async () => {
  await issuer.stop();
  await service.stop();
  await database.drop();
});

const environment = () => ({ DATABASE_URL: database.url, POSTERN_MASTER_KEY: masterKey, ...settings });
const run = (words: string[], stdin = ''): Promise<CommandEnd> =>
  runHere(words, { environment: environment(), stdin });
async function json(...words: string[]): Promise<Record<string, unknown>> {
  const { exitCode, stdout, stderr } = await run([...words, '--json']);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  return JSON.parse(stdout) as Record<string, unknown>;
}
const verdict = async (token: string) => {
  const { reason, response } = await service.call('postern.v1.AuthService/ExchangeToken', {
    subject_token: token,
  });
  return response ? 'OK' : reason;
};
const explain = async (token: string) => {
  const { exitCode, stdout } = await run(['token', 'explain-exchange', '--json'], `${token}\n`);
  return { exitCode, ...(JSON.parse(stdout) as { accepted: boolean; bindings: { mismatches: string[] }[]; refused: { step: string; reason: string } | null }) }; // prettier-ignore
};

test('W13 an issuer is added, an identity bound, its exchange explained without using the token up, and all of it ended', async () => {
  await json('service', 'create', 'deploy', '--role', 'deployer');
  const added = await json(
    'issuer',
    'add',
    issuer.url,
    '--ca',
    join(folder, 'ca.pem'),
    '--once',
    '--max-age',
    '10m',
  );
  expect(added).toMatchObject({ issuer: issuer.url, kind: 'oidc', keys_from: 'discovery', audience: OWN, max_age: 600, accept_once: true, disabled: false }); // prettier-ignore
  const token = mint(key, shapes.github(issuer.url, OWN));
  expect(await explain(token)).toMatchObject({ exitCode: 6, accepted: false, refused: null, bindings: [] });
  const refused = await run(['service', 'bind', 'deploy', '--issuer', issuer.url, '--claim', 'repository=octo-org/octo-repo']); // prettier-ignore
  expect([refused.exitCode, refused.stderr]).toEqual([5, expect.stringContaining('repository_id or repository_owner_id')]); // prettier-ignore
  const wrong = await json('service', 'bind', 'deploy', '--issuer', issuer.url, '--claim', 'repository_id=74', '--claim', 'ref=refs/heads/release'); // prettier-ignore
  expect(await explain(token)).toMatchObject({ exitCode: 6, bindings: [{ id: wrong['id'], service: 'deploy', mismatches: ['ref'] }] }); // prettier-ignore
  const binding = await json('service', 'bind', 'deploy', '--issuer', issuer.url, '--claim', 'repository_id=74', '--claim', 'ref=refs/heads/main'); // prettier-ignore
  expect((await explain(token)).exitCode).toBe(0);
  const text = await run(['token', 'explain-exchange'], token);
  expect(text.stdout).toContain(`binding    ${String(binding['id'])} to deploy: matches`);
  const stranger = mint(makeIssuerKey('k1'), shapes.github(issuer.url, OWN));
  expect(await explain(stranger)).toMatchObject({ exitCode: 6, refused: { step: 'signature', reason: 'TOKEN_SIGNATURE_INVALID' } }); // prettier-ignore
  expect(await explain('junk')).toMatchObject({ refused: { step: 'format', reason: 'TOKEN_MALFORMED' } });
  expect(await verdict(token)).toBe('OK');
  const events = await database.query(
    `SELECT actor_type, details FROM audit_events WHERE action = 'binding.read'`,
  );
  expect(events.length).toBe(6);
  expect(JSON.stringify(events)).not.toContain('octo');

  expect((await run(['service', 'bindings', 'deploy'])).stdout).toContain(
    'ref=refs/heads/main repository_id=74     (all)',
  );
  expect((await run(['issuer', 'list'])).stdout).toMatch(/discovery +https:\/\/postern.example +enabled/);
  expect((await run(['doctor'])).stdout).toMatch(
    /the issuer https:\/\/127\.0\.0\.1:\d+ has usable keys \(1\)/,
  );
  expect(await json('issuer', 'disable', issuer.url)).toMatchObject({ disabled: true, revoked_tokens: 1 });
  expect(await verdict(mint(key, shapes.github(issuer.url, OWN)))).toBe('ISSUER_NOT_TRUSTED');
  expect(await json('issuer', 'enable', issuer.url)).toMatchObject({ disabled: false });
  expect(await verdict(mint(key, shapes.github(issuer.url, OWN)))).toBe('OK');
  const other = makeIssuerKey('k2');
  const otherKeys = join(folder, 'other.json');
  writeFileSync(otherKeys, JSON.stringify({ keys: [other.jwk] }));
  expect(await json('issuer', 'set-keys', issuer.url, '--jwks', otherKeys)).toMatchObject({
    keys_from: 'static',
  });
  expect(await verdict(mint(key, shapes.github(issuer.url, OWN)))).toBe('TOKEN_KEY_UNKNOWN');
  // From standard input: a container has no file with it.
  const fromInput = ['issuer', 'set-keys', issuer.url, '--jwks', '-'];
  expect((await run(fromInput, JSON.stringify({ keys: [key.jwk] }))).exitCode).toBe(0);
  expect(await verdict(mint(key, shapes.github(issuer.url, OWN)))).toBe('OK');
  expect(await json('service', 'unbind', String(binding['id']))).toMatchObject({ revoked_tokens: 2 });
  expect(await json('issuer', 'delete', issuer.url)).toMatchObject({ issuer: issuer.url, revoked_tokens: 0 });
  expect((await run(['issuer', 'delete', issuer.url])).exitCode).toBe(5);
});

test('doctor says why the keys of an issuer cannot be had', async () => {
  const { id } = await json('issuer', 'add', 'https://localhost:1');
  const { stdout } = await run(['doctor']);
  expect(stdout).toMatch(/the issuer https:\/\/localhost:1 gives no keys to this machine/);
  await json('issuer', 'delete', String(id));
  // More than it asks: it says so.
  await database.query(
    `INSERT INTO trusted_issuers (id, issuer, kind, keys_from, static_jwks, audience, algorithms, max_age_seconds)
     SELECT gen_random_uuid(), 'https://many.example/' || n, 'oidc', 'static', '{}', 'a', '{RS256}', 60
     FROM generate_series(1, 53) n`,
  );
  expect((await run(['doctor'])).stdout).toContain('3 more trusted issuers were not asked for their keys');
  await database.query(`DELETE FROM trusted_issuers WHERE issuer LIKE 'https://many.example/%'`);
});

test('W14 end-all --after-restore disables every issuer and deletes the bindings of certificates, and lists them', async () => {
  const jwks = join(folder, 'jwks.json');
  writeFileSync(jwks, JSON.stringify({ keys: [key.jwk] }));
  const name = 'https://restored.example';
  await json('service', 'create', 'restored');
  await json('issuer', 'add', name, '--jwks', jwks);
  await json('service', 'bind', 'restored', '--issuer', name, '--claim', 'sub=w');
  const bound = await json('service', 'bind', 'restored', '--certificate', 'spiffe://td/a');
  const token = mint(key, { ...shapes.kubernetes(name, OWN), sub: 'w' });
  expect(await verdict(token)).toBe('OK');
  const result = await json('session', 'end-all', '--after-restore');
  expect(result).toMatchObject({
    disabled_issuers: expect.arrayContaining([name]) as unknown,
    deleted_bindings: [bound],
  });
  expect(await verdict(token)).toBe('ISSUER_NOT_TRUSTED');
  expect(await database.query('SELECT 1 FROM service_tokens')).toEqual([]);
  await json('issuer', 'enable', name);
  const again = await run(['session', 'end-all', '--after-restore']);
  expect(again.stdout).toContain(`disabled the issuer ${name}; review its bindings, then enable it`);
});
