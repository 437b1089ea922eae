/**
 * Every verifier outside the service gives the verdict of the service: the verifier in process, and of a sidecar both
 * VerifyToken and Envoy's Check. With ES256 all four verify every hostile token. With RS256 and EdDSA the verifier in
 * process gets every one as well, and is compared with the service's twin; those over gRPC get a sample with at least
 * one of each class.
 */
import * as grpc from '@grpc/grpc-js';
import { afterEach, expect, test } from '@jest/globals';

import { createVerifier, PosternError, type Verifier } from '../../src/client/postern-client.ts';
import { checkOfToken, saysTheSame } from '../services/ext-authz/check.ts';
import { validTokens } from '../security/valid-tokens.ts';
import { classOf, hostileTokens, someOfEachClass } from '../security/hostile-tokens.ts';
import { inBatches } from '../security/in-batches.ts';
import { serviceUnderAttack } from '../security/running-service.ts';
import { until } from '../support/wait-for.ts';
import { endEveryPostern, startPostern } from '../support/run-postern.ts';
import { openAdminFixture } from '../support/admin-fixture.ts';
import { invoke, type Outcome, type TestService } from '../support/test-service.ts';
import { anyPorts } from '../support/service-environment.ts';

const verify = 'postern.v1.AuthService/VerifyToken';
/** gRPC itself refuses a larger message before any handler reads it. */
const maxMessageBytes = 64 * 1024 - 4;
/** '' for a good token, or the reason for which it is refused. */
type Verify = (token: string) => Promise<string>;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of cleanups.splice(0).reverse()) await close();
});

async function inProcess(verifier: Verifier, token: string): Promise<string> {
  try {
    await verifier.verify(token);
    return '';
  } catch (error) {
    if (!(error instanceof PosternError)) throw error;
    return error.reason ?? grpc.status[error.code];
  }
}

const reasonIn = ({ code, reason }: Outcome) =>
  code === grpc.status.OK ? '' : (reason ?? grpc.status[code]);

/** The verifiers outside this service, ready for use. */
async function openVerifiers(
  service: TestService,
): Promise<Record<'within' | 'sidecarVerify' | 'sidecarCheck', Verify>> {
  const { id, secret } = await (await openAdminFixture(service.database)).createService('beside');
  const credential = { clientId: id, clientSecret: secret };
  const verifier = createVerifier({ trust: { upstream: { address: service.grpcAddress }, credential } });
  cleanups.push(() => verifier.close());
  cleanups.push(endEveryPostern);
  const sidecar = startPostern(['sidecar', '--upstream', service.grpcAddress], {
    environment: {
      POSTERN_CLIENT_ID: id,
      POSTERN_CLIENT_SECRET: secret,
      ...anyPorts,
    },
  });
  const { grpc: address, http } = await sidecar.listening;
  const client = new grpc.Client(address, grpc.credentials.createInsecure());
  cleanups.push(() => client.close());
  await until(async () => (await fetch(`http://${http}/readyz`)).status === 200, 'the sidecar is ready');
  expect(await verifier.ready(5_000)).toBe(true);
  const call: TestService['call'] = (method, request) => invoke(client, method, request);
  return {
    within: (token) => inProcess(verifier, token),
    sidecarVerify: async (token) => reasonIn(await call(verify, { access_token: token })),
    sidecarCheck: (token) => checkOfToken({ call }, token),
  };
}

test.each([
  { mode: 'ES256', oneIn: 1 },
  { mode: 'RS256', oneIn: 8 },
  { mode: 'EdDSA', oneIn: 8 },
] as const)(
  'E04 T01-T20 a verifier in process and a sidecar give the verdict of VerifyToken for every token: $mode',
  async ({ mode, oneIn }) => {
    const { service, setting, twin } = await serviceUnderAttack(mode);
    cleanups.push(() => service.stop());
    const { within, sidecarVerify, sidecarCheck } = await openVerifiers(service);
    const differing: string[] = [];
    const compare = (name: string, central: string, who: string, verdict: string, same: boolean) => {
      if (!same) differing.push(`${name}: the service ${central}, ${who} ${verdict}`);
    };

    /** Every verdict on a token; those that differ from the service's are noted. */
    const verdictsOn = async ({ name, token }: { name: string; token: string }) => {
      const [central, verified, checked, own] = await Promise.all([
        service.call(verify, { access_token: token }).then(reasonIn),
        sidecarVerify(token),
        sidecarCheck(token),
        within(token),
      ]);
      // Without a token in the message, the services take one from the metadata.
      const isEvaluated = token !== '' && Buffer.byteLength(token) <= maxMessageBytes;
      compare(name, central, 'the sidecar', verified, verified === central);
      compare(name, central, 'its Check', checked, saysTheSame(token, checked, central));
      compare(name, central, 'in process', own, !isEvaluated || own === central);
      return [central, verified, checked, own];
    };

    const all = [...hostileTokens(setting)];
    const some = [...someOfEachClass(all, oneIn)];
    const classes = new Set(all.map(classOf));
    expect(new Set(some.map(classOf))).toEqual(classes);
    expect(classes.size).toBeGreaterThan(30);
    expect(all.length).toBeGreaterThan(640);
    await inBatches(some, async (token) => {
      if ((await verdictsOn(token)).includes('')) differing.push(`${token.name} was accepted`);
    });
    await inBatches(all, async ({ name, token }) => {
      const [own, verdict] = await Promise.all([within(token), twin.verify(token)]);
      const central = verdict.ok ? '' : verdict.refusal.reason;
      compare(name, central, 'in process', own, own !== '' && own === central);
    });
    expect(differing).toEqual([]);

    for (const { name, token } of validTokens(setting)) {
      expect([name, ...(await verdictsOn({ name, token }))]).toEqual([name, '', '', '', '']);
      // Once more, from the cache.
      await verdictsOn({ name: `${name}, again`, token });
    }
    expect(differing).toEqual([]);
  },
  60_000,
);
