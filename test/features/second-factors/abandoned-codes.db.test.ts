import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { addTotp, type TestFactor, totpOf, wrongTotpOf } from '../../support/second-factors.ts';
import {
  CALL_LIMIT_MS,
  type Message,
  methodOf,
  startTestService,
  type TestService,
} from '../../support/test-service.ts';
import { testCall } from '../../support/test-call.ts';
import { untilBlocked } from '../../support/until-blocked.ts';
import { until } from '../../support/wait-for.ts';

const email = 'nora@example.com';
const password = 'correct horse battery';
let service: TestService;
let client: grpc.Client;
let factor: TestFactor;

beforeAll(async () => {
  service = await startTestService();
  client = new grpc.Client(service.grpcAddress, grpc.credentials.createInsecure());
  await service.addUser(email, password);
  factor = await addTotp(service, await service.tokenOf(email, password));
  await service.call('postern.v1.AuthService/Login', loginWith(wrongTotpOf(factor.secret)));
});
afterAll(async () => {
  client.close();
  await service.stop();
});

const loginWith = (code: string) => ({ email, password, code });
const count = async (sql: string) => {
  const [row] = await service.database.query(`SELECT coalesce(sum(failures), 0)::int AS count FROM ${sql}`);
  return Number(row?.['count']);
};
const wrongCodes = () => count('code_failures');
const failedLogins = () => count('login_throttle');
const refusals = async (action: string) => {
  const rows = await service.database.query(
    `SELECT id FROM audit_events WHERE action = $1 AND reason = 'SECOND_FACTOR_INVALID'`,
    [action],
  );
  return rows.length;
};

/** Calls a method and cancels once the code has been found wrong, before that is counted. @returns the code of the answer */
async function abandoned(method: string, request: Message): Promise<grpc.status | undefined> {
  const { path, requestSerialize, responseDeserialize } = methodOf(`postern.v1.AuthService/${method}`);
  const metadata = new grpc.Metadata();
  metadata.set('authorization', `Bearer ${factor.accessToken}`);
  return service.database.database.transaction(testCall(), async (trx) => {
    // The row that counts, which exists since the first wrong code.
    await trx.raw('SELECT FROM code_failures FOR UPDATE');
    let cancel = (): void => undefined;
    const answer = new Promise<grpc.status | undefined>((resolve) => {
      const options = { deadline: Date.now() + CALL_LIMIT_MS };
      const call = client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadata,
        options,
        (error) => resolve(error?.code),
      );
      cancel = () => call.cancel();
    });
    await untilBlocked(service.database, answer);
    const seen = service.logLines.length;
    cancel();
    const code = await answer;
    // The service has noticed it, too.
    await until(
      () => service.logLines.slice(seen).some((line) => line.includes('"CANCELLED"')),
      'the call ends at the service',
    );
    return code;
  });
}

test.each([
  ['Login', 'login', loginWith],
  ['StepUp', 'session.step-up', (code: string) => ({ code })],
])(
  'M05 a wrong code in %s counts, for user and throttle, and is audited, although its caller has cancelled',
  async (method, action, requestWith) => {
    const before = {
      codes: await wrongCodes(),
      logins: await failedLogins(),
      events: await refusals(action),
    };
    expect(await abandoned(method, requestWith(wrongTotpOf(factor.secret)))).toBe(grpc.status.CANCELLED);
    await until(async () => (await wrongCodes()) === before.codes + 1, 'the code is counted');
    await until(async () => (await refusals(action)) === before.events + 1, 'the refusal is audited');
    // By e-mail and source, and by e-mail.
    expect(await failedLogins()).toBe(before.logins + 2);
  },
);

test('M05 the right code still logs in', async () => {
  const answer = await service.call('postern.v1.AuthService/Login', loginWith(totpOf(factor.secret)));
  expect(answer.code).toBe(grpc.status.OK);
});
