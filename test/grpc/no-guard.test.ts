import { afterEach, expect, test } from '@jest/globals';

import { AdminServiceService } from '../../src/generated/postern/v1/admin.ts';
import { AuthServiceService } from '../../src/generated/postern/v1/auth.ts';
import { TrustServiceService } from '../../src/generated/postern/v1/trust.ts';
import { guardMethod } from '../../src/rpc/method-guard.ts';
import { methodTable } from '../../src/rpc/method-table.ts';
import { type BareListener, type ListenerOptions, startBareListener } from '../support/bare-listener.ts';

const running: BareListener[] = [];
afterEach(async () => {
  for (const listener of running.splice(0)) await listener.stop();
});

/** Services with one handler each, to serve without a guard. */
const services = {
  GetUser: (add) => add({ getUser: AdminServiceService.getUser }, { getUser: () => never() }),
  ChangePassword: (add) =>
    add({ changePassword: AuthServiceService.changePassword }, { changePassword: () => never() }),
  Login: (add) => add({ login: AuthServiceService.login }, { login: () => never() }),
  WatchTrust: (add) => add({ watchTrust: TrustServiceService.watchTrust }, { watchTrust: () => never() }),
} satisfies Record<string, ListenerOptions['services']>;

function never(): never {
  throw new Error('a call came through to a handler');
}

test.each(Object.entries(services))(
  'A01 a process without a guard does not start with %s',
  async (name, serve) => {
    await expect(startBareListener({ services: serve })).rejects.toThrow(
      `/${name} is not served without a guard`,
    );
  },
);

test('A01 a process without a guard starts with VerifyToken', async () => {
  running.push(
    await startBareListener({
      services: (add) => add({ verifyToken: AuthServiceService.verifyToken }, { verifyToken: () => never() }),
    }),
  );
});

test('A01 without a guard only public methods that audit nothing can be served', () => {
  const served = Object.entries(methodTable).flatMap(([path, rule]) => {
    try {
      guardMethod(path, rule, null, () => undefined);
      return [path];
    } catch {
      return [];
    }
  });
  expect(served).toEqual([
    '/postern.v1.AuthService/VerifyToken',
    '/postern.v1.AuthService/RevokeToken',
    '/postern.v1.AuthService/BeginPasskeyLogin',
    '/postern.v1.AuthService/GetJwks',
    '/envoy.service.auth.v3.Authorization/Check',
    '/grpc.health.v1.Health/Check',
    '/grpc.health.v1.Health/List',
    '/grpc.health.v1.Health/Watch',
    '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
    '/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo',
    '/grpc.channelz.v1.Channelz/GetTopChannels',
    '/grpc.channelz.v1.Channelz/GetServers',
    '/grpc.channelz.v1.Channelz/GetServer',
    '/grpc.channelz.v1.Channelz/GetServerSockets',
    '/grpc.channelz.v1.Channelz/GetChannel',
    '/grpc.channelz.v1.Channelz/GetSubchannel',
    '/grpc.channelz.v1.Channelz/GetSocket',
  ]);
});
