import { Agent, request } from 'node:http';

import { expect, test } from '@jest/globals';

import { HttpCalls } from '../../src/http/http-calls.ts';
import { HttpServer } from '../../src/http/http-server.ts';
import { RpcEndpoint } from '../../src/http/rpc/rpc-endpoint.ts';
import { until } from '../support/wait-for.ts';
import type { FinishedCall } from '../../src/rpc/call-context.ts';

/** A listener with one method that answers when the test lets it. */
async function listener() {
  let answer: () => void = () => undefined;
  let started: () => void = () => undefined;
  const running = new Promise<void>((resolve) => (started = resolve));
  const finished: FinishedCall[] = [];
  const method = {
    path: '/test.v1.Test/Wait',
    deadlineMs: 60_000,
    isSafe: false,
    decode: (bytes: Buffer) => bytes,
    run: () =>
      new Promise<{ message: Uint8Array }>((resolve) => {
        answer = () => resolve({ message: Buffer.from('done') });
        started();
      }),
  };
  const endpoint = new RpcEndpoint(method, () => Promise.reject(new Error('no JSON here')));
  const calls = new HttpCalls({
    find: (path) => (path === method.path ? endpoint : undefined),
    corsOrigins: [],
    isTrustedProxy: () => false,
    onFinish: (call) => finished.push(call),
  });
  const content = {
    publication: null,
    unreadyReasons: () => [],
    verificationFaults: () => [],
    metrics: () => '',
  };
  const server = new HttpServer(content, null, { calls });
  const address = await server.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 });
  const port = address.kind === 'tcp' ? address.port : 0;
  const agent = new Agent({ keepAlive: true });
  const call = () =>
    new Promise<{ status: number | undefined; text: string; connection: string | undefined }>(
      (resolve, reject) => {
        const headers = { 'content-type': 'application/proto' };
        const sent = request({ port, agent, method: 'POST', path: method.path, headers }, (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
          response.on('end', () =>
            resolve({ status: response.statusCode, text, connection: response.headers.connection }),
          );
        });
        sent.on('error', reject);
        sent.end();
      },
    );
  return { call, calls, server, running, finished, answer: () => answer(), end: () => agent.destroy() };
}

test('H06 a stop refuses new calls, and waits for running ones', async () => {
  const { call, calls, server, running, answer, end } = await listener();
  const first = call();
  await running;
  let isDrained = false;
  const drained = calls.drain({ delayMs: 0, graceMs: 60_000 }).then(() => (isDrained = true));
  const refused = await call();
  expect([refused.status, refused.connection]).toEqual([503, 'close']);
  expect(refused.text).toContain('SHUTTING_DOWN');
  expect(isDrained).toBe(false);
  answer();
  expect((await first).text).toBe('done');
  await drained;
  end();
  await server.stop();
});

test('H06 a stop waits no longer than its grace, and the calls end as cancelled', async () => {
  const { call, calls, server, running, finished, end } = await listener();
  const lost = call().catch((error: unknown) => (error as NodeJS.ErrnoException).code);
  await running;
  await calls.drain({ delayMs: 0, graceMs: 50 });
  await server.stop();
  expect(await lost).toBe('ECONNRESET');
  await until(() => finished.length > 0, 'the call was reported');
  expect(finished.map(({ code }) => code)).toEqual([1]);
  end();
});
