import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { verdictOf } from '../../support/account.ts';
import { type AdminFixture, openAdminFixture } from '../../support/admin-fixture.ts';
import { forge, json, secretKey, type TokenMode } from '../../security/forge.ts';
import {
  makeIssuerKey,
  type OutsideServer,
  shapes,
  startOutsideServer,
} from '../../support/outside-issuer.ts';
import { type Message, startTestService, type TestService } from '../../support/test-service.ts';

/**
 * Issuers that an administrator trusts and that turn hostile, each at a path of one server whose address is opened. Nothing
 * of them is accepted, and what they point at is not connected to: a second server at an address that is not opened.
 */
const OWN = 'https://postern.example';
const good = makeIssuerKey('good');
const ec = makeIssuerKey('ec', 'ES256');
const weak = generateKeyPairSync('rsa', { modulusLength: 512 });
const weakJwk = { ...weak.publicKey.export({ format: 'jwk' }), kid: 'weak', alg: 'RS256' };
let service: TestService;
let fixture: AdminFixture;
let server: OutsideServer;
let forbidden: OutsideServer;
/** At an opened address, but of another origin than the issuers. */
let neighbour: OutsideServer;
let admin: Record<string, string>;

const keys = (...list: unknown[]) => json({ keys: list });
const offCurve = { ...ec.jwk, y: ec.jwk['x'] };
/** What each hostile issuer answers for its key set; without an entry, its own good key. */
const keySets: Record<string, (response: ServerResponse) => void> = {
  huge: (response) => response.end(keys(...Array.from({ length: 101 }, () => good.jwk))),
  long: (response) => response.end(`${keys(good.jwk)}${' '.repeat(256 * 1024)}`),
  endless: (response) => {
    const more = () => response.write(' '.repeat(64 * 1024), (error) => error ?? more());
    more();
  },
  slow: (response) => void response.write('{"keys":['),
  loopback: (response) => response.writeHead(302, { location: `${forbidden.url}/keys` }).end(),
  metadata: (response) => response.writeHead(308, { location: 'https://169.254.169.254/keys' }).end(),
  weak: (response) => response.end(keys(weakJwk)),
  curve: (response) => response.end(keys(offCurve)),
  secret: (response) => response.end(keys({ kty: 'oct', k: 'c2VjcmV0', kid: 'good', alg: 'HS256' })),
  twins: (response) => response.end(keys(good.jwk, { ...makeIssuerKey('good').jwk })),
  twice: (response) => response.end(`{"keys":[],${keys(good.jwk).slice(1)}`),
  list: (response) => response.end(json([good.jwk])),
  html: (response) => response.end('<html>'),
};
/** What each answers for its discovery document beside the keys of its own. */
const documents: Record<string, (issuer: string) => object> = {
  other: (issuer) => ({ issuer: `${issuer}/`, jwks_uri: `${issuer}/keys` }),
  elsewhere: (issuer) => ({ issuer, jwks_uri: `${forbidden.url}/keys` }),
  neighbour: (issuer) => ({ issuer, jwks_uri: `${neighbour.url}/keys` }),
  plain: (issuer) => ({ issuer, jwks_uri: `${issuer.replace('https', 'http')}/keys` }),
  none: (issuer) => ({ issuer }),
  file: (issuer) => ({ issuer, jwks_uri: 'file:///etc/passwd' }),
};

function answer({ url = '', headers }: IncomingMessage, response: ServerResponse): void {
  const [, name = '', file] = url.split('/');
  const issuer = `https://${headers.host ?? ''}/${name}`;
  const keySet = keySets[name] ?? ((to: ServerResponse) => void to.end(keys(good.jwk)));
  if (file === 'keys') keySet(response);
  else response.end(json(documents[name]?.(issuer) ?? { issuer, jwks_uri: `${issuer}/keys` }));
}

beforeAll(async () => {
  service = await startTestService({ POSTERN_ISSUER: OWN, POSTERN_ISSUER_NETWORKS: '127.0.0.1/32' });
  fixture = await openAdminFixture(service.database);
  server = await startOutsideServer(answer);
  forbidden = await startOutsideServer((_request, response) => response.end(keys(good.jwk)), '127.0.0.2');
  neighbour = await startOutsideServer((_request, response) => response.end(keys(good.jwk)));
  await service.addUser('root@example.com', 'correct horse battery', ['admin']);
  admin = { authorization: `Bearer ${await service.tokenOf('root@example.com', 'correct horse battery')}` };
});
afterAll(async () => {
  await service.stop();
  await server.stop();
  await forbidden.stop();
  await neighbour.stop();
});

async function trust(issuer: string, clientId: string, more: Message = {}): Promise<void> {
  const algorithms = ['RS256', 'ES256', 'PS256'];
  const request = { issuer, algorithms, keys: { ca_pem: server.caPem + neighbour.caPem }, ...more };
  const made = await service.call('postern.v1.AdminService/CreateTrustedIssuer', request, admin);
  const binding = { issuer_id: made.response?.['id'], client_id: clientId, claims: { sub: 'w' } };
  const bound = await service.call('postern.v1.AdminService/CreateWorkloadBinding', binding, admin);
  expect([verdictOf(made), verdictOf(bound)]).toEqual(['OK', 'OK']);
}
type Signer = { readonly mode: TokenMode; readonly kid: string; readonly privateKey: KeyObject };
const tokenOf = (issuer: string, { mode, kid, privateKey }: Signer) =>
  forge(mode, json({ alg: mode, kid }), json({ ...shapes.kubernetes(issuer, OWN), sub: 'w' }), privateKey);
const exchange = async (subject_token: string) =>
  verdictOf(await service.call('postern.v1.AuthService/ExchangeToken', { subject_token }));

test('W02 W05 W06 of hostile issuers no token is accepted, and no forbidden address connected to', async () => {
  const { id } = await fixture.createService('victim');
  await trust(`${server.url}/honest`, id);
  expect(await exchange(tokenOf(`${server.url}/honest`, good))).toBe('OK');
  const hostile = [...Object.keys(keySets), ...Object.keys(documents)].map((name) => `${server.url}/${name}`);
  for (const issuer of hostile) await trust(issuer, id);
  // A host name of the forbidden server, which the look-up of the connection finds, and its address.
  for (const host of ['127.0.0.2', '2130706434', '0x7f000002', '[::ffff:127.0.0.2]']) {
    const jwks_url = `https://${host}:${forbidden.port}/keys`;
    const issuer = `https://${host.replace(/\W/g, '-')}.example`;
    await trust(issuer, id, { keys: { jwks_url, ca_pem: forbidden.caPem } });
    hostile.push(issuer);
  }
  const signers: Signer[] = [good, ec, { mode: 'RS256', kid: 'weak', privateKey: weak.privateKey }];
  const verdicts = await Promise.all(
    hostile.flatMap((issuer) => signers.map((signer) => exchange(tokenOf(issuer, signer)))),
  );
  expect(verdicts.length).toBe(69);
  expect(verdicts.filter((verdict) => verdict === 'OK')).toEqual([]);
  const known = ['TRUST_STALE', 'TOKEN_KEY_UNKNOWN', 'TOKEN_SIGNATURE_INVALID', 'SERVER_OVERLOADED'];
  for (const verdict of verdicts) expect(known).toContain(verdict);
  expect([forbidden.connections(), neighbour.connections()]).toEqual([0, 0]);
  // An honest issuer is served meanwhile.
  expect(await exchange(tokenOf(`${server.url}/honest`, good))).toBe('OK');
});

test('W02 no confusion of algorithms, and no other way to write the issuer, is accepted', async () => {
  const issuer = `${server.url}/honest`;
  const claims = (iss: unknown) => json({ ...shapes.kubernetes('', OWN), iss, sub: 'w' });
  const pem = createPublicKey(good.privateKey).export({ format: 'pem', type: 'spki' }).toString();
  const forged = [
    forge('HS256', json({ alg: 'HS256', kid: 'good' }), claims(issuer), secretKey(pem)),
    forge('RS256', json({ alg: 'none', kid: 'good' }), claims(issuer), good.privateKey).replace(/[^.]*$/, ''),
    forge('RS256', json({ alg: 'PS256', kid: 'good' }), claims(issuer), good.privateKey),
    forge('RS256', json({ alg: 'ES256', kid: 'good' }), claims(issuer), good.privateKey),
    forge('ES256', json({ alg: 'ES256', kid: 'good' }), claims(issuer), ec.privateKey),
    forge('ES256', json({ alg: 'RS256', kid: 'good' }), claims(issuer), ec.privateKey),
  ];
  const names = [`${issuer}/`, issuer.toUpperCase(), issuer.replace('honest', 'hon%65st'), issuer.replace('honest', 'x/../honest'), issuer.slice(0, -1), `${issuer}x`, `${issuer}#`, `${issuer} `, issuer.replace('honest', 'hone\u017Ft'), issuer.replace('127.0.0.1', '127.1'), issuer.replace(/:\d+/, ''), { toString: issuer }, [issuer], null, OWN.toUpperCase()]; // prettier-ignore
  for (const name of names)
    forged.push(forge('RS256', json({ alg: 'RS256', kid: 'good' }), claims(name), good.privateKey));
  const twice = claims(issuer).replace('{', `{"iss":"https://x.example",`);
  forged.push(forge('RS256', json({ alg: 'RS256', kid: 'good' }), twice, good.privateKey));
  const before = server.connections();
  const verdicts = await Promise.all(forged.map(exchange));
  expect(verdicts.length).toBe(22);
  for (const verdict of verdicts) expect(verdict).toMatch(/^(TOKEN_|ISSUER_NOT_TRUSTED)/);
  expect(server.connections() - before).toBeLessThanOrEqual(2);
});
