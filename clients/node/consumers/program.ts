// A program that uses every part of postern-auth, compiled as ES module and as CommonJS.
// CLIENT_ID=… CLIENT_SECRET=… PASSWORD=… node program.js POSTERN_GRPC_ADDRESS
import type { AddressInfo } from 'node:net';

import {
  credentials,
  makeGenericClientConstructor,
  Metadata,
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceError,
} from '@grpc/grpc-js';
import express from 'express';
import fastify from 'fastify';
import {
  authInterceptor,
  bearerInterceptor,
  callerOf,
  createAuthClient,
  createUserSession,
  createVerifier,
  PosternError,
  type PosternReason,
  requireToken,
  type TokenSet,
  type VerifiedClaims,
} from 'postern-auth';
import { requireTokenHook } from 'postern-auth/fastify';

const address = process.argv[2] ?? '';
const { CLIENT_ID: clientId = '', CLIENT_SECRET: clientSecret = '', PASSWORD: password = '' } = process.env;

const text = (value: string) => Buffer.from(value);
const ECHO = {
  path: '/shop.Orders/Owner',
  requestStream: false as const,
  responseStream: false as const,
  requestSerialize: text,
  requestDeserialize: String,
  responseSerialize: text,
  responseDeserialize: String,
};
const service = { owner: ECHO };

async function main(): Promise<void> {
  const auth = createAuthClient({ address });
  const tokens: TokenSet = await auth.login({ email: 'ann@example.com', password });
  const session = createUserSession(auth, tokens);
  const verifier = createVerifier({
    trust: { upstream: { address }, credential: { clientId, clientSecret } },
  });
  await verifier.ready(10_000);
  const claims: VerifiedClaims = await verifier.verify(await session.accessToken());

  const web = express();
  web.get('/', requireToken(verifier), (request, response) => {
    const subject: string | undefined = request.caller?.subject;
    response.send(subject);
  });
  const listener = web.listen(0, '127.0.0.1');
  await new Promise((resolve) => listener.once('listening', resolve));
  const port = (listener.address() as AddressInfo).port;

  const fast = fastify();
  fast.addHook('onRequest', requireTokenHook(verifier, { roles: ['reader'] }));
  fast.get('/', (request) => {
    const caller: VerifiedClaims | undefined = request.caller;
    return caller?.subject;
  });
  const fastUrl = await fast.listen({ port: 0, host: '127.0.0.1' });

  const server = new Server({ interceptors: [authInterceptor({ verifier, services: [service] })] });
  server.addService(service, {
    owner(call: ServerUnaryCall<string, string>, answer: sendUnaryData<string>) {
      answer(null, callerOf(call)?.subject ?? 'nobody');
    },
  });
  const grpcPort = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
      if (error) reject(error);
      else resolve(bound);
    });
  });
  const Orders = makeGenericClientConstructor(service, 'Orders');
  const orders = new Orders(`127.0.0.1:${grpcPort}`, credentials.createInsecure(), {
    interceptors: [bearerInterceptor(session)],
  });
  const owner = () =>
    new Promise<string>((resolve) => {
      const method = orders['owner'];
      if (!method) throw new Error('the stub lacks its method');
      method.call(orders, 'mine', new Metadata(), (error: ServiceError | null, response: string) => {
        resolve(error ? error.details : response);
      });
    });
  const get = async (url: string) => {
    const response = await fetch(url, { headers: { authorization: `Bearer ${tokens.accessToken}` } });
    return `${response.status} ${await response.text()}`;
  };
  const subject = claims.subject;
  const before = [await get(`http://127.0.0.1:${port}/`), await get(fastUrl), await owner()];
  console.log(before.join() === [`200 ${subject}`, `200 ${subject}`, subject].join() ? 'accepted' : before);

  await session.logout();
  let reason: PosternReason | null = null;
  while (reason === null) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    try {
      await verifier.verify(tokens.accessToken);
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      reason = error.reason;
    }
  }
  const statuses = [await get(`http://127.0.0.1:${port}/`), await get(fastUrl)].map((answer) =>
    answer.slice(0, 3),
  );
  console.log(reason, ...statuses);

  orders.close();
  server.forceShutdown();
  await fast.close();
  listener.closeAllConnections();
  listener.close();
  verifier.close();
  auth.close();
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
