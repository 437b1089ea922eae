import { Metadata } from '@grpc/grpc-js';

import { activeKey } from '../security/running-service.ts';
import { decode, forge } from '../security/forge.ts';
import { openAdminFixture } from './admin-fixture.ts';
import type { TestService } from './test-service.ts';

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
  | 'admin service';

/** One of each kind of caller, with the metadata that it sends. */
export type Callers = Readonly<Record<CallerKind, Metadata>>;

export function bearing(token: string): Metadata {
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${token}`);
  return metadata;
}

/** An audience other than Postern's own; the service of `makeCallers` must be configured with it. */
export const otherAudience = 'shop';

/** Makes an administrator `admin@example.com`, a user `plain@example.com`, and two service accounts. */
export async function makeCallers(service: TestService): Promise<Callers> {
  const fixture = await openAdminFixture(service.database);
  await service.addUser('admin@example.com', callerPassword, ['admin']);
  await service.addUser('plain@example.com', callerPassword, ['user']);
  const admin = await service.tokenOf('admin@example.com', callerPassword);
  const revoked = await service.tokenOf('admin@example.com', callerPassword);
  await service.call('postern.v1.AuthService/RevokeToken', { token: revoked });
  const adminService = await fixture.createService('admin-service', ['admin']);
  return {
    none: new Metadata(),
    garbage: bearing('garbage'),
    expired: bearing(await expiredTwin(service, admin)),
    revoked: bearing(revoked),
    'other audience': bearing(await service.tokenOf('admin@example.com', callerPassword, otherAudience)),
    'service for another audience': bearing(await serviceToken(service, adminService, otherAudience)),
    user: bearing(await service.tokenOf('plain@example.com', callerPassword)),
    service: bearing(await serviceToken(service, await fixture.createService('plain'))),
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

/** The same token an hour older, signed by the service's own key. */
async function expiredTwin(service: TestService, token: string): Promise<string> {
  const [header = '', claims = ''] = token.split('.').map(decode);
  const { iat, exp, ...rest } = JSON.parse(claims) as { iat: number; exp: number };
  const older = JSON.stringify({ ...rest, iat: iat - 3_600, exp: exp - 3_600 });
  return forge('ES256', header, older, await activeKey(service));
}
