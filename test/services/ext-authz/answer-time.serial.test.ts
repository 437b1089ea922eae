import { createServer, type Socket } from 'node:net';

import { expect, test } from '@jest/globals';
import jwt from 'jsonwebtoken';

import { startTestService } from '../../support/test-service.ts';
import { checkedBy } from './check.ts';

const token = jwt.sign({}, 'any secret', {
  issuer: 'http://127.0.0.1:8080',
  audience: 'postern',
  subject: 'someone',
  expiresIn: 600,
});

test('E04 without keys yet the answer is 503 within 200 ms', async () => {
  const sockets = new Set<Socket>();
  const silent = createServer((socket) => sockets.add(socket.on('error', () => undefined)));
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const address = silent.address() as { port: number };
  const waiting = await startTestService({ DATABASE_URL: `postgres://u@127.0.0.1:${address.port}/none` });
  try {
    // The connection is made first, so that only the time of the service is measured.
    await checkedBy(waiting, { headers: {} });
    const startedAtMs = performance.now();
    const { http, body } = await checkedBy(waiting, { headers: { authorization: `Bearer ${token}` } });
    expect(performance.now() - startedAtMs).toBeLessThan(200);
    expect([http, body.reason]).toEqual([503, 'TRUST_STALE']);
    const health = await waiting.call('grpc.health.v1.Health/Check', {
      service: 'envoy.service.auth.v3.Authorization',
    });
    expect(health.response).toEqual({ status: 'NOT_SERVING' });
  } finally {
    await waiting.stop();
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => silent.close(resolve));
  }
});
