// printf %s 'the password' | node client.js EMAIL [POSTERN_GRPC_ADDRESS] [ORDERS_ADDRESS]
import { text } from 'node:stream/consumers';

import { credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { createAuthClient, createUserSession, PosternError } from 'postern-auth';

import { OrderServiceClient } from './generated/orders.ts';

const [email, postern = '127.0.0.1:50051', orders = '127.0.0.1:50060'] = process.argv.slice(2);
if (email === undefined) throw new Error('usage: client.js EMAIL [POSTERN_GRPC_ADDRESS] [ORDERS_ADDRESS]');

const auth = createAuthClient({ address: postern });
const service = new OrderServiceClient(orders, credentials.createInsecure());
// `text` removes a byte order mark; `echo` and PowerShell also add a line end.
const password = (await text(process.stdin)).replace(/[\r\n]+$/, '');
try {
  const session = createUserSession(auth, await auth.login({ email, password }));

  /** Makes one call as the user. The session refreshes the access token when necessary. */
  const call = async <Request, Response>(
    method: (
      request: Request,
      metadata: Metadata,
      callback: (error: ServiceError | null, response: Response) => void,
    ) => unknown,
    request: Request,
  ): Promise<Response> => {
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${await session.accessToken()}`);
    return new Promise((resolve, reject) => {
      method.call(service, request, metadata, (error, response) =>
        error ? reject(error) : resolve(response),
      );
    });
  };
  const attempt = async <Response>(name: string, response: Promise<Response>) => {
    try {
      console.log(name, JSON.stringify(await response));
    } catch (error) {
      const { code, details } = error as ServiceError;
      console.log(name, status[code], details);
    }
  };

  await attempt('GetOpeningHours', call(service.getOpeningHours, {}));
  await attempt('ListOrders', call(service.listOrders, {}));
  await attempt('CancelOrder', call(service.cancelOrder, { id: session.tokens.userId }));
  await session.logout();
} catch (error) {
  if (!(error instanceof PosternError)) throw error;
  console.error(`${status[error.code]} ${error.reason ?? ''}: ${error.message}`);
  process.exitCode = 1;
} finally {
  service.close();
  auth.close();
}
