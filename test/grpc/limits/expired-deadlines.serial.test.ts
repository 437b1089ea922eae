import { Client, credentials, type ServiceError, status } from '@grpc/grpc-js';
import { afterEach, expect, test } from '@jest/globals';

import { AuthServiceService } from '../../../src/generated/postern/v1/auth.ts';
import { verificationOnly, verificationService } from '../../../src/services/verification-service.ts';
import { startBareListener } from '../../support/bare-listener.ts';
import { someClaims } from '../../support/claims.ts';
import { until } from '../../support/wait-for.ts';
import { callFields, frameType, headers, message, RawHttp2, reset } from '../../support/raw-http2.mjs';

const HEALTH_LIST = '/grpc.health.v1.Health/List';
const { verifyToken } = AuthServiceService;
const claims = someClaims({
  issuer: 'here',
  audience: ['postern'],
  roles: [],
  issuedAtSeconds: 1,
  expiresAtSeconds: 2,
});
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** The token `never` gets no verdict, and `soon` gets one after 100 ms. */
async function listen() {
  const listener = await startBareListener({
    services: (add) =>
      add(
        verificationOnly,
        verificationService({
          verifyToken: ({ token }) =>
            token === 'never'
              ? new Promise(() => undefined)
              : new Promise((resolve) => setTimeout(resolve, 100, claims)),
        }),
      ),
  });
  cleanups.push(() => listener.stop());
  return listener;
}

test('N18 thousands of expired deadlines of a gateway end none of its other calls', async () => {
  const listener = await listen();
  const gateway = new Client(listener.address, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
  });
  cleanups.push(() => gateway.close());
  const verify = (accessToken: string, deadlineMs: number) =>
    new Promise<status>((resolve) =>
      gateway.makeUnaryRequest(
        verifyToken.path,
        verifyToken.requestSerialize,
        verifyToken.responseDeserialize,
        { accessToken, audience: '', minAcr: '', maxAuthAge: undefined, clientAddress: '' },
        { deadline: Date.now() + deadlineMs },
        (error: ServiceError | null) => resolve(error?.code ?? status.OK),
      ),
    );
  const otherCalls: Promise<status>[] = [];
  for (let round = 0; round < 15; round++) {
    const expired: Promise<status>[] = [];
    for (let each = 0; each < 200; each++) {
      expired.push(verify('never', 50));
      if (each % 20 === 0) otherCalls.push(verify('soon', 10_000));
    }
    expect(new Set(await Promise.all(expired))).toEqual(new Set([status.DEADLINE_EXCEEDED]));
  }
  expect(new Set(await Promise.all(otherCalls))).toEqual(new Set([status.OK]));
  expect(listener.server.retiredConnections).toBeGreaterThan(0);
}, 60_000);

test('N18 a connection with many resets gets GOAWAY, its calls in progress are answered, and it ends', async () => {
  const listener = await listen();
  const raw = await RawHttp2.open(listener.address);
  cleanups.push(() => raw.destroy());
  const token = Buffer.from(
    verifyToken.requestSerialize({
      accessToken: 'soon',
      audience: '',
      minAcr: '',
      maxAuthAge: undefined,
      clientAddress: '',
    }),
  );
  const isGoaway = ({ type }: { type: number }) => type === frameType['goaway'];
  let id = 1;
  for (; !raw.frames.some(isGoaway) && id < 4_000; id += 100) {
    const ids = Array.from({ length: 50 }, (_, index) => id + 2 * index);
    raw.send(...ids.map((stream) => headers(stream, callFields(verifyToken.path))));
    raw.send(...ids.slice(1).map((stream) => reset(stream)), message(id, token));
    // A later call on the connection is answered, so everything before it has been processed.
    const probe = (id += 100);
    raw.send(headers(probe, callFields(HEALTH_LIST)), message(probe));
    await raw.next(({ stream, type }) => stream === probe || type === frameType['goaway']);
  }
  expect(raw.goaway).toBe(0);
  const last = raw.frames.find(isGoaway)?.payload.readUInt32BE(0) ?? 0;
  // Every call that was not reset, up to the last stream id in the GOAWAY, has its answer.
  expect(await raw.closed()).toBe(true);
  const answered = new Set(
    raw.frames.filter(({ type }) => type === frameType['data']).map(({ stream }) => stream),
  );
  const kept: number[] = [];
  for (let stream = 1; stream < id && stream <= last; stream += 200) kept.push(stream);
  expect(kept.length).toBeGreaterThan(5);
  expect(kept.filter((stream) => !answered.has(stream))).toEqual([]);
});

test('N08 a flood of resets ends the connection, and none of its streams stays open', async () => {
  const listener = await listen();
  const raw = await RawHttp2.open(listener.address);
  cleanups.push(() => raw.destroy());
  for (let round = 0; round < 60 && !raw.ended; round++) {
    const ids = Array.from({ length: 100 }, (_, index) => 1 + 200 * round + 2 * index);
    await raw.flush(
      ...ids.flatMap((stream) => [headers(stream, callFields(verifyToken.path)), reset(stream)]),
    );
  }
  expect(await raw.closed()).toBe(true);
  await until(() => listener.server.openStreams.anonymous === 0, 'nothing is left');
});

test('N03 a caller that stays within the 256 concurrent streams is never disconnected', async () => {
  const listener = await listen();
  const raw = await RawHttp2.open(listener.address);
  cleanups.push(() => raw.destroy());
  await raw.next(({ type }) => type === frameType['settings']);
  let next = 1;
  const open = (count: number) =>
    Array.from({ length: count }, () => {
      const stream = next;
      next += 2;
      return headers(stream, callFields(verifyToken.path));
    });
  raw.send(...open(256));
  // Each is reset and replaced in the same write, so the caller never exceeds the limit.
  const first = next - 512;
  const again = Array.from({ length: 256 }, (_, index) => [reset(first + 2 * index), ...open(1)]).flat();
  raw.send(...again);
  expect(await raw.next(({ type }) => type === frameType['reset'], 300)).toBeNull();
  expect([raw.ended, raw.goaway]).toEqual([false, null]);
});
