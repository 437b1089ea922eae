import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { account as verdicts } from '../../support/account.ts';
import { openAdminFixture, type AdminFixture } from '../../support/admin-fixture.ts';
import { callerPassword } from '../../support/callers.ts';
import {
  makeIssuerKey,
  mint,
  type OutsideServer,
  shapes,
  startOutsideIssuer,
} from '../../support/outside-issuer.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';
import {
  type Message,
  type Outcome,
  startTestService,
  type TestService,
} from '../../support/test-service.ts';
import { untilBlocked } from '../../support/until-blocked.ts';

interface AuditRow {
  readonly details: Record<string, unknown>;
  readonly outcome: string;
  readonly reason: string;
}

const OWN = 'https://postern.example';
const environment = {
  POSTERN_ISSUER: OWN,
  POSTERN_AUDIENCE: 'postern,orders',
  POSTERN_ISSUER_NETWORKS: '127.0.0.0/8',
};
const key = makeIssuerKey('k1');
const served = [key];
let database: TestDatabase;
let service: TestService;
let second: TestService;
let fixture: AdminFixture;
let issuer: OutsideServer;
let admin: Record<string, string>;

beforeAll(async () => {
  database = await createTestDatabase();
  service = await startTestService(environment, database);
  second = await startTestService(environment, database);
  fixture = await openAdminFixture(database);
  issuer = await startOutsideIssuer(served);
  await service.addUser('admin@example.com', callerPassword, ['admin']);
  admin = { authorization: `Bearer ${await service.tokenOf('admin@example.com', callerPassword)}` };
});
afterAll(async () => {
  await issuer.stop();
  await second.stop();
  await service.stop();
  await database.drop();
});

const manage = (method: string, request: Message) =>
  service.call(`postern.v1.AdminService/${method}`, request, admin);
async function done(method: string, request: Message): Promise<Message> {
  const { response, message } = await manage(method, request);
  if (!response) throw new Error(`${method}: ${message}`);
  return response;
}
const idOf = ({ id }: Message): string => String(id);
const exchange = (token: string, more: Message = {}, at: TestService = service) =>
  at.call('postern.v1.AuthService/ExchangeToken', { subject_token: token, ...more });
const verdict = ({ code, reason }: Outcome) => (code === status.OK ? 'OK' : (reason ?? status[code]));
const tokenIn = ({ response, message }: Outcome): string => {
  if (!response) throw new Error(message);
  return String(response['access_token']);
};
const claimsOf = (token: string) =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>;
const trust = (name: string, more: Message = {}) =>
  done('CreateTrustedIssuer', {
    issuer: name,
    keys: { static_jwks: JSON.stringify({ keys: [key.jwk] }) },
    ...more,
  });
const bind = (issuerId: string, clientId: string, claims: Message, roles: string[] = []) =>
  done('CreateWorkloadBinding', { issuer_id: issuerId, client_id: clientId, claims, roles });
const auditOf = async (action: string): Promise<AuditRow[]> => {
  const rows = await database.query(
    `SELECT details, outcome, reason FROM audit_events WHERE action = '${action}' ORDER BY at`,
  );
  return rows as unknown as AuditRow[];
};

describe('W01 a token of a trusted issuer is exchanged for one of the bound account', () => {
  test('GitHub, with keys by discovery: name, roles, audience, audit row', async () => {
    const { id } = await fixture.createService('deploy', ['deployer', 'reader']);
    const trusted = await done('CreateTrustedIssuer', {
      issuer: issuer.url,
      keys: { ca_pem: issuer.caPem },
      accept_once: true,
    });
    expect(trusted).toMatchObject({
      kind: 'OIDC',
      audience: OWN,
      algorithms: ['RS256', 'ES256'],
      max_age: 3600,
      disabled: false,
    });
    const claims = { repository_id: '74', ref: 'refs/heads/main', event_name: 'push' };
    const binding = await bind(idOf(trusted), id, claims, ['deployer', 'absent']);
    const outside = mint(key, shapes.github(issuer.url, OWN));
    const answer = await exchange(outside, { audience: 'orders' });
    expect(answer.response).toMatchObject({
      refresh_token: '',
      session_id: '',
      user_id: '',
      expires_in: 600,
    });
    expect(claimsOf(tokenIn(answer))).toMatchObject({
      iss: OWN,
      sub: id,
      client_id: id,
      name: 'deploy',
      aud: 'orders',
      roles: ['deployer'],
    });
    expect(await verdicts.verdict(second, tokenIn(answer))).toBe('OK');
    expect(issuer.requests).toEqual(['/.well-known/openid-configuration', '/keys']);
    const [event] = (await auditOf('token.exchange')).slice(-1);
    expect(event?.details).toMatchObject({ issuer: trusted['id'], binding: binding['id'], subject: id });
    expect(event?.details['subject_digest']).toMatch(/^[0-9a-f]{32}$/);

    // W09 on all instances, in a race; the twin of the signature is the same token.
    expect(verdict(await exchange(outside))).toBe('TOKEN_REPLAYED');
    expect(verdict(await exchange(outside, {}, second))).toBe('TOKEN_REPLAYED');
    const raced = mint(key, shapes.github(issuer.url, OWN));
    const results = await Promise.all(
      Array.from({ length: 8 }, (_, number) => exchange(raced, {}, number % 2 === 0 ? service : second)),
    );
    expect(results.map(verdict).sort()).toEqual(['OK', ...Array<string>(7).fill('TOKEN_REPLAYED')]);
    // One that was refused for another reason is not used up.
    const wrongly = mint(key, shapes.github(issuer.url, OWN));
    expect(verdict(await exchange(wrongly, { roles: ['admin'] }))).toBe('EXCHANGE_NOT_ALLOWED');
    expect(verdict(await exchange(wrongly, { audience: 'elsewhere' }))).toBe('FIELD_INVALID');
    expect(verdict(await exchange(wrongly))).toBe('OK');
    // The second instance has fetched the keys as well, each once.
    expect(issuer.requests.length).toBeLessThanOrEqual(4);
  });

  test('Kubernetes, without typ and as often as it is mounted; SPIFFE, without iss', async () => {
    const { id } = await fixture.createService('billing');
    const name = 'https://kubernetes.default.svc.cluster.local';
    const cluster = await trust(name, { kind: 'KUBERNETES' });
    await bind(idOf(cluster), id, {
      'kubernetes.io/serviceaccount/uid': '8c9ae9e2-0f1d-4d2e-9df7-9a2c3d0e5b11',
    });
    const mounted = mint(key, shapes.kubernetes(name, OWN), {});
    expect([await exchange(mounted), await exchange(mounted)].map(verdict)).toEqual(['OK', 'OK']);
    expect(verdict(await exchange(mint(key, { ...shapes.kubernetes(name, OWN), 'kubernetes.io': [] })))).toBe('IDENTITY_NOT_BOUND'); // prettier-ignore

    const domain = await trust('spiffe://example.org', { kind: 'SPIFFE' });
    await bind(idOf(domain), id, { sub: 'spiffe://example.org/shop/billing' });
    expect(verdict(await exchange(mint(key, shapes.spiffe(OWN))))).toBe('OK');
    const server = 'https://oidc-discovery.example.org';
    expect(verdict(await exchange(mint(key, { ...shapes.spiffe(OWN), iss: server })))).toBe('OK');
    for (const sub of ['spiffe://example.org.evil/shop/billing', 'spiffe://EXAMPLE.org/shop/billing', 'spiffe://example.org', 'spiffe://example.org/shop/../shop/billing', 'spiffe://example.org/shop/billing/'])
      expect(verdict(await exchange(mint(key, { ...shapes.spiffe(OWN), sub })))).toBe('ISSUER_NOT_TRUSTED'); // prettier-ignore
    expect(verdict(await exchange(mint(key, { ...shapes.spiffe(OWN), sub: 'spiffe://example.org/shop' })))).toBe('IDENTITY_NOT_BOUND'); // prettier-ignore
    expect(verdict(await exchange(mint(key, { ...shapes.spiffe(OWN), iss: ['spiffe://example.org'] })))).toBe('ISSUER_NOT_TRUSTED'); // prettier-ignore
    // A SPIFFE ID that another, trusted issuer writes is that issuer's word, not that of the trust domain.
    const foreign = {
      ...shapes.kubernetes(name, OWN),
      sub: 'spiffe://example.org/shop/billing',
      'kubernetes.io': {},
    };
    expect(verdict(await exchange(mint(key, foreign)))).toBe('IDENTITY_NOT_BOUND');
  });

  test('W07 a token that several accounts are bound to needs the name of one; allowed audiences hold', async () => {
    const name = 'https://several.example';
    const trusted = await trust(name);
    const one = await fixture.createService('one', ['a']);
    const two = await fixture.createService('two', ['b']);
    for (const { id } of [one, two]) await bind(idOf(trusted), id, { sub: 'w' });
    const token = mint(key, { ...shapes.kubernetes(name, OWN), sub: 'w' });
    const unnamed = await exchange(token);
    expect([verdict(unnamed), unnamed.message]).toEqual([
      'FIELD_INVALID',
      expect.stringContaining('service_account: must name one'),
    ]);
    expect(claimsOf(tokenIn(await exchange(token, { service_account: 'two' })))['sub']).toBe(two.id);
    expect(claimsOf(tokenIn(await exchange(token, { service_account: one.id })))['sub']).toBe(one.id);
    expect(verdict(await exchange(token, { service_account: 'deploy' }))).toBe('IDENTITY_NOT_BOUND');
    await database.query(`UPDATE service_accounts SET allowed_audiences = '{orders}' WHERE id = '${one.id}'`);
    const asOne = (audience: string) => exchange(token, { service_account: 'one', audience });
    expect(claimsOf(tokenIn(await asOne('')))['aud']).toBe('orders');
    expect(verdict(await asOne('orders'))).toBe('OK');
    expect(verdict(await asOne('postern'))).toBe('FIELD_INVALID');
    // Of two bindings to one account, the one that gives the role that is asked for.
    await database.query(`UPDATE service_accounts SET roles = '{a,b,c}' WHERE id = '${two.id}'`);
    await database.query(`UPDATE workload_bindings SET roles = '{a,b}' WHERE account_id = '${two.id}'`);
    await bind(idOf(trusted), two.id, { sub: 'w' }, ['c']);
    const rolesOf = async (...roles: string[]) => {
      const outcome = await exchange(token, { service_account: 'two', roles });
      return outcome.response ? claimsOf(tokenIn(outcome))['roles'] : verdict(outcome);
    };
    expect([await rolesOf(), await rolesOf('c'), await rolesOf('b'), await rolesOf('b', 'c')]).toEqual([['a', 'b'], ['c'], ['b'], 'EXCHANGE_NOT_ALLOWED']); // prettier-ignore
  });
});

describe('W03 whatever ends the trust revokes the tokens in the same transaction', () => {
  async function ready(name: string) {
    const account = await fixture.createService(name);
    const trusted = await trust(`https://${name}.example`);
    const binding = await bind(idOf(trusted), account.id, { sub: 'w' });
    const outside = mint(key, { ...shapes.kubernetes(`https://${name}.example`, OWN), sub: 'w' });
    return { account, issuerId: idOf(trusted), bindingId: idOf(binding), outside };
  }

  test.each<[string, (made: Awaited<ReturnType<typeof ready>>) => Promise<Message>, string]>([
    ['deleting the binding', ({ bindingId }) => done('DeleteWorkloadBinding', { id: bindingId }), 'IDENTITY_NOT_BOUND'],
    ['disabling the issuer', ({ issuerId }) => done('UpdateTrustedIssuer', { id: issuerId, disabled: true }), 'ISSUER_NOT_TRUSTED'],
    ['deleting the issuer', ({ issuerId }) => done('DeleteTrustedIssuer', { id: issuerId }), 'ISSUER_NOT_TRUSTED'],
    ['deleting the account', ({ account }) => done('DeleteServiceAccount', { client_id: account.id }), 'IDENTITY_NOT_BOUND'],
  ])('%s', async (what, end, refusal) => {
    const made = await ready(`end-${what.replace(/\W/g, '-')}`);
    const token = tokenIn(await exchange(made.outside));
    expect(await verdicts.verdict(service, token)).toBe('OK');
    await end(made);
    expect(await verdicts.verdict(service, token)).toBe('TOKEN_REVOKED');
    expect(verdict(await exchange(made.outside))).toBe(refusal);
    // W04: a call that has checked the token before and records it now waits for the change, and fails.
    const raced = await ready(`race-${what.replace(/\W/g, '-')}`);
    const statements = {
      'deleting the binding': `DELETE FROM workload_bindings WHERE id = '${raced.bindingId}'`,
      'disabling the issuer': `UPDATE trusted_issuers SET disabled_at = now() WHERE id = '${raced.issuerId}'`,
      'deleting the issuer': `DELETE FROM trusted_issuers WHERE id = '${raced.issuerId}'`,
      'deleting the account': `DELETE FROM service_accounts WHERE id = '${raced.account.id}'`,
    };
    let late: Promise<Outcome> | undefined;
    await database.database.unlimited(async (trx) => {
      await trx.raw(statements[what as keyof typeof statements]);
      late = exchange(raced.outside);
      await untilBlocked(database, late);
    });
    expect(verdict((await late) as Outcome)).toBe('IDENTITY_NOT_BOUND');
    const left = await database.query(`SELECT 1 FROM service_tokens WHERE account_id = '${raced.account.id}'`);
    expect(left).toEqual([]);
  }); // prettier-ignore

  test('W04 exchanges and deletions at once leave no valid token and no deadlock', async () => {
    const made = await ready('storm');
    const bindings = [made.bindingId];
    const issued: string[] = [];
    for (let round = 0; round < 6; round++) {
      const exchanges = Array.from({ length: 6 }, (_, n) =>
        exchange(made.outside, {}, n % 2 ? service : second),
      );
      const ended = done('DeleteWorkloadBinding', { id: bindings.at(-1) ?? '' });
      for (const outcome of await Promise.all(exchanges)) {
        expect(['OK', 'IDENTITY_NOT_BOUND']).toContain(verdict(outcome));
        if (outcome.response) issued.push(tokenIn(outcome));
      }
      await ended;
      bindings.push(idOf(await bind(made.issuerId, made.account.id, { sub: 'w' })));
    }
    for (const token of issued) expect(await verdicts.verdict(service, token)).toBe('TOKEN_REVOKED');
  });

  test('a disabled issuer is enabled again, and its keys are replaced', async () => {
    const made = await ready('again');
    await done('UpdateTrustedIssuer', { id: made.issuerId, disabled: true });
    expect(verdict(await exchange(made.outside))).toBe('ISSUER_NOT_TRUSTED');
    await done('UpdateTrustedIssuer', { id: made.issuerId, disabled: false });
    expect(verdict(await exchange(made.outside))).toBe('OK');
    const other = makeIssuerKey('k2', 'ES256');
    await done('UpdateTrustedIssuer', { id: made.issuerId, keys: { static_jwks: JSON.stringify({ keys: [other.jwk] }) } }); // prettier-ignore
    expect(verdict(await exchange(made.outside))).toBe('TOKEN_KEY_UNKNOWN');
    expect(verdict(await exchange(mint(other, { ...shapes.kubernetes('https://again.example', OWN), sub: 'w' })))).toBe('OK'); // prettier-ignore
  });
});

test('W02 keys, algorithms and names of one issuer count for no other', async () => {
  const mine = makeIssuerKey('same-kid', 'ES256');
  const theirs = makeIssuerKey('same-kid', 'ES256');
  const { id } = await fixture.createService('confused');
  const names = ['https://confused.example', 'https://confused.example/', 'https://other.example'];
  for (const [number, name] of [names[0], names[2]].entries()) {
    const jwk = (number === 0 ? mine : theirs).jwk;
    const trusted = await trust(String(name), { keys: { static_jwks: JSON.stringify({ keys: [jwk] }) } });
    await bind(idOf(trusted), id, { sub: 'w' });
  }
  const claims = (iss: unknown) => ({ ...shapes.kubernetes('', OWN), iss, sub: 'w' });
  expect(verdict(await exchange(mint(mine, claims(names[0]))))).toBe('OK');
  expect(verdict(await exchange(mint(theirs, claims(names[0]))))).toBe('TOKEN_SIGNATURE_INVALID');
  expect(verdict(await exchange(mint(mine, claims(names[2]))))).toBe('TOKEN_SIGNATURE_INVALID');
  for (const iss of [names[1], 'https://confused.example.evil', 'https://confused', 'https://confused.example/x', 'HTTPS://confused.example', [names[0]], '', undefined, null, 7, 'a\u0000b'])
    expect(verdict(await exchange(mint(mine, claims(iss))))).toBe('ISSUER_NOT_TRUSTED'); // prettier-ignore
  expect(verdict(await exchange(mint({ ...mine, mode: 'EdDSA', privateKey: mine.privateKey } as never, claims(names[0])).replace(/\.[^.]+$/, '.AAAA')))).toBe('TOKEN_ALG_NOT_ALLOWED'); // prettier-ignore
});

test('A02 managing issuers and bindings needs an administrator, and bad input is said', async () => {
  const refused = async (method: string, request: Message) => {
    const { message, reason } = await manage(method, request);
    return `${reason}: ${message}`;
  };
  const plain = await service.call('postern.v1.AdminService/ListTrustedIssuers', {});
  expect(plain.reason).toBe('CREDENTIALS_MISSING');
  expect(await refused('CreateTrustedIssuer', { issuer: 'http://x.example' })).toMatch(/FIELD_INVALID: issuer: must be an https URL/); // prettier-ignore
  const odd = JSON.stringify({ keys: [{ ...key.jwk, note: '\0' }], half: '\ud800' }).replace('{', '{"n":1e999999,'); // prettier-ignore
  expect(await trust('https://odd.example', { keys: { static_jwks: odd } })).toMatchObject({ issuer: 'https://odd.example' }); // prettier-ignore
  expect(await refused('CreateTrustedIssuer', { issuer: 'https://x.example', keys: { ca_pem: `${issuer.caPem}\0` } })).toMatch(/keys.ca_pem: must be certificates/); // prettier-ignore
  for (const unclean of ['https://x.example ', ' https://x.example', 'https://x.example/#', 'https://x.example?', 'https://x\u00a0.example'])
    expect(await refused('CreateTrustedIssuer', { issuer: unclean })).toMatch(/FIELD_INVALID: issuer: must be an https URL/); // prettier-ignore
  expect(await refused('CreateTrustedIssuer', { issuer: OWN })).toMatch(/must not be POSTERN_ISSUER/);
  expect(await refused('CreateTrustedIssuer', { issuer: 'spiffe://td' })).toMatch(/kind: must be SPIFFE.*keys: must be jwks_url or static_jwks/); // prettier-ignore
  expect(await refused('CreateTrustedIssuer', { issuer: 'https://x.example', algorithms: ['HS256'] })).toMatch(/algorithms\[0\]: must be one of/); // prettier-ignore
  expect(await refused('CreateTrustedIssuer', { issuer: 'https://x.example', keys: { bearer_file: '/etc/shadow' } })).toMatch(/keys.bearer_file: must be the path of a token below/); // prettier-ignore
  expect(await refused('CreateTrustedIssuer', { issuer: 'https://x.example', keys: { bearer_file: '/var/run/secrets/../../etc/shadow' } })).toMatch(/keys.bearer_file/); // prettier-ignore
  expect(await refused('CreateTrustedIssuer', { issuer: 'https://x.example', keys: { ca_pem: 'x' } })).toMatch(/keys.ca_pem: must be certificates/); // prettier-ignore
  expect(await refused('CreateTrustedIssuer', { issuer: 'https://x.example', keys: { static_jwks: '{"keys":[]}' } })).toMatch(/the key set is empty/); // prettier-ignore
  expect(await refused('CreateTrustedIssuer', { issuer: 'https://x.example', keys: { jwks_url: 'https://a:b@c' } })).toMatch(/keys.jwks_url: must be an https URL without a user name/); // prettier-ignore
  expect(await refused('CreateTrustedIssuer', { issuer: issuer.url })).toMatch(/^ISSUER_TAKEN/);
  const github = await trust('https://token.actions.githubusercontent.com');
  const { id } = await fixture.createService('refused');
  const claims = { sub: 'repo:octo-org/octo-repo:ref:refs/heads/main' };
  expect(await refused('CreateWorkloadBinding', { issuer_id: github['id'], client_id: id, claims })).toMatch(/FIELD_INVALID: claims: must contain repository_id or repository_owner_id: GitHub gives the name/); // prettier-ignore
  expect(await refused('CreateWorkloadBinding', { issuer_id: github['id'], client_id: id, claims: {} })).toMatch(/must not be empty/); // prettier-ignore
  expect(await refused('CreateWorkloadBinding', { issuer_id: id, client_id: id, claims })).toMatch(/RESOURCE_NOT_FOUND: the trusted issuer/); // prettier-ignore
  expect(await refused('CreateWorkloadBinding', { client_id: github['id'], claims: { dns: 'a.example' } })).toMatch(/RESOURCE_NOT_FOUND: the service account/); // prettier-ignore
  expect(await refused('DeleteWorkloadBinding', { id })).toMatch(/RESOURCE_NOT_FOUND: the binding/);
  expect(await refused('DeleteTrustedIssuer', { id })).toMatch(/RESOURCE_NOT_FOUND: the trusted issuer/);
  const made = await bind(idOf(github), id, { repository_id: '1' });
  const listed = await done('ListWorkloadBindings', { client_id: id });
  expect(listed['workload_bindings']).toEqual([made]);
  const first = await done('ListTrustedIssuers', { page_size: 1 });
  expect((first['trusted_issuers'] as Message[]).length).toBe(1);
  const next = await done('ListTrustedIssuers', { page_size: 1, page_token: first['next_page_token'] });
  expect(next['trusted_issuers']).not.toEqual(first['trusted_issuers']);
});

test('W10 W11 what an outside token says is in no log line, audit row or refusal', async () => {
  const name = 'https://canary.example';
  const { id } = await fixture.createService('canary');
  await bind(idOf(await trust(name)), id, { sub: 'canary-subject-77' });
  const claims = { ...shapes.kubernetes(name, OWN), sub: 'canary-subject-77', secret: 'canary-claim-78' };
  const good = mint(key, claims);
  const bad = mint(key, { ...claims, sub: 'canary-stranger-79' });
  const forged = `${good.slice(0, -8)}AAAAAAAA`;
  const answers = [
    await exchange(good),
    await exchange(bad),
    await exchange(forged),
    await exchange(`${good}.x`),
  ];
  expect(answers.map(verdict)).toEqual([
    'OK',
    'IDENTITY_NOT_BOUND',
    'TOKEN_SIGNATURE_INVALID',
    'TOKEN_MALFORMED',
  ]);
  const [, , refused] = (await auditOf('token.exchange'))
    .filter(({ outcome }) => outcome === 'refused')
    .slice(-3);
  expect(refused?.reason).toBe('TOKEN_MALFORMED');
  const metrics = await (await fetch(`${service.httpUrl}/metrics`)).text();
  const rows = await database.query('SELECT to_json(e)::text AS row FROM audit_events e WHERE action <> $$binding.create$$'); // prettier-ignore
  const texts = [service.logLines.join(''), JSON.stringify(rows), metrics, ...answers.slice(1).map(({ message }) => message)]; // prettier-ignore
  const segments = good.split('.');
  for (const canary of ['canary-subject', 'canary-claim', 'canary-stranger', segments[1]?.slice(0, 60), segments[2]?.slice(0, 60)])
    for (const text of texts) expect(text).not.toContain(canary); // prettier-ignore
});
