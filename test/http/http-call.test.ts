import type { IncomingMessage } from 'node:http';

import { expect, test } from '@jest/globals';

import { HttpCall } from '../../src/http/http-call.ts';
import { Code } from '../../src/rpc/status-code.ts';
import type { FinishedCall } from '../../src/rpc/call-context.ts';

test.each([
  ['a trusted proxy', '10.0.0.1', '198.51.100.7'],
  ['anybody else', '192.0.2.1', '192.0.2.1'],
])(
  'H08 a finished call that came through %s has the address of its client',
  (_name, remoteAddress, client) => {
    const finished: FinishedCall[] = [];
    const request = {
      headers: {},
      headersDistinct: { 'x-forwarded-for': ['198.51.100.7'] },
      socket: { remoteAddress, remotePort: 4711 },
    };
    const endpoint = { path: '/a', deadlineMs: 1_000, answer: () => Promise.reject(new Error('not called')) };
    const call = new HttpCall(request as unknown as IncomingMessage, endpoint, {
      throughUnixSocket: () => false,
      isTrustedProxy: (address) => address === '10.0.0.1',
      isStopping: () => false,
      onFinish: (ended) => finished.push(ended),
    });
    call.finish(Code.UNAUTHENTICATED);
    expect(finished.map(({ clientAddress }) => clientAddress)).toEqual([client]);
  },
);
