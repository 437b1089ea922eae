import { type Metadata, Server, status } from '@grpc/grpc-js';
import { authInterceptor, callerOf, type VerifiedClaims, type Verifier } from 'postern-auth';

import { OrderServiceService, type Order, type OrderServiceServer } from './generated/orders.ts';

const { getOpeningHours, cancelOrder } = OrderServiceService;

/** The service, with an interceptor that verifies the token of every call in this process. */
export function createOrdersServer(verifier: Verifier): Server {
  const server = new Server({
    interceptors: [
      authInterceptor({
        verifier,
        // A method that is not listed needs a valid token, so that none is public by mistake.
        methods: { [getOpeningHours.path]: 'public', [cancelOrder.path]: { roles: ['admin'] } },
      }),
    ],
  });
  server.addService(OrderServiceService, orderService());
  return server;
}

function orderService(): OrderServiceServer {
  const orders = new Map<string, Order>();
  return {
    getOpeningHours(_call, callback) {
      callback(null, { text: 'always' });
    },

    listOrders(call, callback) {
      const { subject } = requireCaller(call);
      // Every user has one order, so that the list is not empty.
      if (!orders.has(subject)) orders.set(subject, { id: subject, owner: subject, cancelledBy: '' });
      callback(null, { orders: [...orders.values()].filter(({ owner }) => owner === subject) });
    },

    cancelOrder(call, callback) {
      const order = orders.get(call.request.id);
      if (!order) {
        callback({ code: status.NOT_FOUND, details: 'no order has this id' });
        return;
      }
      order.cancelledBy = requireCaller(call).subject;
      callback(null, order);
    },
  };
}

/** The caller of a method that the interceptor protects. */
function requireCaller(call: { readonly metadata: Metadata }): VerifiedClaims {
  const caller = callerOf(call);
  if (!caller) throw new Error('the method is public: it needs a rule in the interceptor');
  return caller;
}
