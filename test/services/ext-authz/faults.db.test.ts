import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';

import { ownOrigin } from '../../../src/domain/operation-call.ts';
import type { VerifiedClaims } from '../../../src/domain/claims/claims.ts';
import { CheckRequest, CheckResponse } from '../../../src/generated/envoy/service/auth/v3/external_auth.ts';
import { EncodedMessage } from '../../../src/rpc/encoded-message.ts';
import {
  authorizationService,
  type Authorizer,
} from '../../../src/services/ext-authz/authorization-service.ts';
import { someClaims } from '../../support/claims.ts';
import { reasonOf, startTestService, type TestService } from '../../support/test-service.ts';

describe('E01 an internal fault', () => {
  const request: CheckRequest = {
    attributes: {
      source: undefined,
      request: { http: { path: '', headers: { authorization: 'Bearer a.b.c' }, headerMap: undefined } },
      contextExtensions: {},
    },
  };
  const claims = someClaims();

  test.each<[string, Authorizer['verifyToken'], string]>([
    ['a throw', () => { throw new Error('a secret'); }, 'INTERNAL'],
    ['a rejection', () => Promise.reject(new Error('a secret')), 'INTERNAL'],
    ['a verdict that never resolves', () => new Promise(() => undefined), 'SERVER_OVERLOADED'],
    ['a control character in the subject', () => ({ ...claims, subject: 'ann\r\nx-admin: 1' }), 'IDENTITY_UNFIT'],
    ['a lone surrogate in a role', () => Promise.resolve({ ...claims, roles: ['\ud800'] }), 'IDENTITY_UNFIT'],
    ['claims without roles', () => ({ ...claims, roles: undefined }) as unknown as VerifiedClaims, 'INTERNAL'],
  ])('%s causes a denial within 200 ms that does not reveal it', async (_name, verifyToken, reason) => {
    const noted: unknown[] = [];
    const { check } = authorizationService({ audiences: ['postern'], policy: null, verifyToken, isTrustedProxy: () => false, nowMs: Date.now });
    jest.useFakeTimers();
    let answer: Awaited<ReturnType<typeof check>> | undefined;
    const answering = Promise.resolve(check(request, {
      authorization: [],
      clientNames: null,
      caller: null,
      origin: ownOrigin,
      deadlineMs: Infinity,
      signal: new AbortController().signal,
      noteNoOp: () => undefined,
      noteRefusal: (...words) => void noted.push(words),
    })).then((given) => (answer = given));
    await jest.advanceTimersByTimeAsync(200);
    jest.useRealTimers();
    expect(answer).toBeDefined();
    answer = await answering;
    if (answer instanceof EncodedMessage) throw new Error('an answer about somebody');
    const { status, httpResponse } = answer;
    expect(status?.code).not.toBe(grpc.status.OK);
    if (httpResponse?.$case !== 'deniedResponse') throw new Error('not denied');
    expect(JSON.parse(httpResponse.value.body)).toMatchObject({ reason });
    expect(httpResponse.value.body).not.toContain('secret');
    expect(noted).toEqual([[reason, expect.any(Error), reason === 'INTERNAL']]);
  }); // prettier-ignore
});

describe('E01 a message that cannot be decoded', () => {
  let service: TestService;
  let client: grpc.Client;
  beforeAll(async () => {
    service = await startTestService();
    client = new grpc.Client(service.grpcAddress, grpc.credentials.createInsecure());
  });
  afterAll(async () => {
    client.close();
    await service.stop();
  });

  const checkBytes = (bytes: Buffer) =>
    new Promise<CheckResponse>((resolve, reject) => {
      const path = '/envoy.service.auth.v3.Authorization/Check';
      client.makeUnaryRequest(
        path,
        (raw: Buffer) => raw,
        (raw) => CheckResponse.decode(raw),
        bytes,
        (error, response) => {
          if (response) resolve(response);
          else reject(error ?? new Error('no response'));
        },
      );
    });
  /** A header in `attributes.request.http.headers`, byte by byte; every length is below 128. */
  const field = (number: number, bytes: Buffer) =>
    Buffer.concat([Buffer.of((number << 3) | 2, bytes.length), bytes]);
  const withHeader = (key: Buffer, value: Buffer, behind = Buffer.alloc(0)) => {
    const headers = field(3, Buffer.concat([field(1, key), field(2, value)]));
    const optional = field(
      10,
      Buffer.concat([field(1, Buffer.from('mode')), field(2, Buffer.from('optional'))]),
    );
    return field(1, Buffer.concat([field(4, field(2, Buffer.concat([headers, behind]))), optional]));
  };

  test('control: the hand-made bytes of a valid message pass', async () => {
    const { httpResponse } = await checkBytes(withHeader(Buffer.from('x-a'), Buffer.from('b')));
    expect(httpResponse?.$case).toBe('okResponse');
  });

  test('fields other than the headers are skipped', async () => {
    const others = Buffer.concat([
      field(4, Buffer.from('/path')),
      field(11, Buffer.from('body')),
      field(12, Buffer.from('c328', 'hex')),
    ]);
    const { httpResponse } = await checkBytes(withHeader(Buffer.from('x-a'), Buffer.from('b'), others));
    expect(httpResponse?.$case).toBe('okResponse');
  });

  test.each<[string, Buffer]>([
    ['invalid UTF-8 in a value', withHeader(Buffer.from('x-a'), Buffer.from('c328', 'hex'))],
    ['invalid UTF-8 in a name', withHeader(Buffer.from('c328', 'hex'), Buffer.from('a'))],
    ['a truncated field', withHeader(Buffer.from('x-a'), Buffer.from('b')).subarray(0, -3)],
    ['no protobuf', Buffer.from('ffffffffff', 'hex')],
    ['nothing', Buffer.alloc(0)],
  ])('%s is denied, with OK as the status of the RPC', async (_name, bytes) => {
    const { status, httpResponse } = await checkBytes(bytes);
    expect(status?.code).toBe(grpc.status.PERMISSION_DENIED);
    if (httpResponse?.$case !== 'deniedResponse') throw new Error('not denied');
    expect(JSON.parse(httpResponse.value.body)).toMatchObject({ reason: 'REQUEST_UNREADABLE' });
  }); // prettier-ignore

  test('N02 a message over 64 KiB is refused by gRPC, without a check response', async () => {
    const attributes = {
      source: undefined,
      request: undefined,
      contextExtensions: { mode: 'x'.repeat(70_000) },
    };
    const large = CheckRequest.encode({ attributes }).finish();
    const error = await checkBytes(Buffer.from(large)).catch((error: unknown) => error as grpc.ServiceError);
    if (!('metadata' in error)) throw new Error('not refused');
    expect([error.code, reasonOf(error.metadata)]).toEqual([
      grpc.status.RESOURCE_EXHAUSTED,
      'MESSAGE_TOO_LARGE',
    ]);
  });
});
