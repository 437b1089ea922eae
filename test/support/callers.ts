import { generateKeyPairSync } from 'node:crypto';

import { Metadata } from '@grpc/grpc-js';

import { activeKey } from '../security/running-service.ts';
import { decode, forge } from '../security/forge.ts';
import { openAdminFixture } from './admin-fixture.ts';
import type { Message, TestService } from './test-service.ts';

export const callerPassword = 'correct horse battery';

export type CallerKind =
  | 'none'
  | 'garbage'
  | 'expired'
  | 'revoked'
  | 'other audience'
  | 'service for another audience'
  | 'user'
  | 'service'
  | 'admin'
  | 'admin service'
  | 'another issuer'
  | 'narrowed user'
  | 'narrowed admin'
  | 'admin without the role'
  | 'narrowed service'
  | 'admin service without the role'
  | 'service for a user'
  | 'service for an admin'
  | 'service for a service'
  | 'key of a user'
  | 'key of an admin'
  | 'key of an admin without the role'
  | 'key of a service'
  | 'key of an admin service'
  | 'key from another network'
  | 'token of a key of an admin';

/** One of each kind of caller, with the metadata that it sends. */
export type Callers = Readonly<Record<CallerKind, Metadata>>;

export function bearing(token: string): Metadata {
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${token}`);
  return metadata;
}

/** An audience other than Postern's own; the service of `makeCallers` must be configured with it. */
export const otherAudience = 'shop';

/** Makes an administrator `admin@example.com`, a user `plain@example.com`, and three service accounts. */
export async function makeCallers(service: TestService): Promise<Callers> {
  const fixture = await openAdminFixture(service.database);
  const adminId = await service.addUser('admin@example.com', callerPassword, ['admin', 'writer']);
  const userId = await service.addUser('plain@example.com', callerPassword, ['user']);
  const admin = await service.tokenOf('admin@example.com', callerPassword);
  const revoked = await service.tokenOf('admin@example.com', callerPassword);
  await service.call('postern.v1.AuthService/RevokeToken', { token: revoked });
  const adminService = await fixture.createService('admin-service', ['admin', 'reader']);
  const plainService = await fixture.createService('plain');
  const acting = await fixture.createService('acting');
  await service.database.query(
    `UPDATE service_accounts SET own_audiences = ARRAY[$2], delegation_audiences = '{postern}' WHERE id = $1`,
    [acting.id, otherAudience],
  );
  const actor_token = await serviceToken(service, acting);
  const exchanged = async (subject_token: string, more: Message = {}) => {
    const request = { subject_token, ...more };
    const { response, message } = await service.call('postern.v1.AuthService/ExchangeToken', request);
    if (!response) throw new Error(message);
    return bearing(String(response['access_token']));
  };
  const actedFor = (token: string) => exchanged(token, { actor_token, audience: 'postern' });
  const user = await service.tokenOf('plain@example.com', callerPassword);
  let keys = 0;
  const keyOf = async (owner: Message, roles: string[], more: Message = {}) => {
    const request = { ...owner, api_key: { name: `key ${(keys += 1)}`, roles, ...more } };
    const metadata = { authorization: `Bearer ${admin}` };
    const made = await service.call('postern.v1.AdminService/CreateApiKey', request, metadata);
    if (!made.response) throw new Error(made.message);
    return String(made.response['secret']);
  };
  const keyOfAdmin = await keyOf({ user_id: adminId }, ['admin']);
  return {
    'another issuer': bearing(foreignToken()),
    'narrowed user': await exchanged(user),
    'narrowed admin': await exchanged(admin),
    'admin without the role': await exchanged(admin, { roles: ['writer'] }),
    'narrowed service': await exchanged(await serviceToken(service, plainService)),
    'admin service without the role': await exchanged(await serviceToken(service, adminService), {
      roles: ['reader'],
    }),
    'service for a user': await actedFor(
      await service.tokenOf('plain@example.com', callerPassword, otherAudience),
    ),
    'service for an admin': await actedFor(
      await service.tokenOf('admin@example.com', callerPassword, otherAudience),
    ),
    'service for a service': await actedFor(await serviceToken(service, plainService, otherAudience)),
    'key of a user': bearing(await keyOf({ user_id: userId }, ['user'])),
    'key of an admin': bearing(keyOfAdmin),
    'key of an admin without the role': bearing(await keyOf({ user_id: adminId }, ['writer'])),
    'key of a service': bearing(await keyOf({ client_id: plainService.id }, [])),
    'key of an admin service': bearing(await keyOf({ client_id: adminService.id }, ['admin'])),
    'key from another network': bearing(
      await keyOf({ user_id: adminId }, ['admin'], { allowed_networks: ['203.0.113.0/24'] }),
    ),
    'token of a key of an admin': await exchanged(keyOfAdmin),
    none: new Metadata(),
    garbage: bearing('garbage'),
    expired: bearing(await expiredTwin(service, admin)),
    revoked: bearing(revoked),
    'other audience': bearing(await service.tokenOf('admin@example.com', callerPassword, otherAudience)),
    'service for another audience': bearing(await serviceToken(service, adminService, otherAudience)),
    user: bearing(user),
    service: bearing(await serviceToken(service, plainService)),
    admin: bearing(admin),
    'admin service': bearing(await serviceToken(service, adminService)),
  };
}

export async function serviceToken(
  service: TestService,
  { id, secret }: { id: string; secret: string },
  audience = '',
): Promise<string> {
  const request = { client_id: id, client_secret: secret, audience };
  const { response, message } = await service.call('postern.v1.AuthService/IssueServiceToken', request);
  if (!response) throw new Error(message);
  return String(response['access_token']);
}

/** What another issuer has signed with a key of its own. */
function foreignToken(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const seconds = Math.floor(Date.now() / 1000);
  const claims = { iss: 'https://ci.example', sub: 'job', aud: 'postern', iat: seconds, exp: seconds + 60 };
  const header = { alg: 'ES256', typ: 'JWT', kid: 'ci-1' };
  return forge('ES256', JSON.stringify(header), JSON.stringify(claims), privateKey);
}

/** The same token an hour older, signed by the service's own key. */
async function expiredTwin(service: TestService, token: string): Promise<string> {
  const [header = '', claims = ''] = token.split('.').map(decode);
  const { iat, exp, ...rest } = JSON.parse(claims) as { iat: number; exp: number };
  const older = JSON.stringify({ ...rest, iat: iat - 3_600, exp: exp - 3_600 });
  return forge('ES256', header, older, await activeKey(service));
}
